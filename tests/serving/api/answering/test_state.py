"""How much is answered at a time, and that no trouble with the log costs an answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from serving.api.answering.answers import Answerer, Question
from serving.api.metrics import ServiceMetrics
from serving.api.schemas import PredictionAnswer, ServedModel
from serving.api.settings import ServiceSettings
from serving.log.lossy import LossyLog
from serving.log.prediction_log import PredictionLog
from tests.serving.api.client import check_problem, predict, read_metric, serve
from tests.serving.log.log_faults import Fault, folder_gone, locked, read_only, replaced
from tests.serving.toy import BLACK, OTHER_KEY, RED, make_bundle, paint
from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.bundle.assembly import load_bundle

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]


class Held(Answerer):
    """The toy, which answers once `gate` is open."""

    def __init__(self, settings: ServiceSettings, log: LossyLog | None = None) -> None:
        bundle = make_bundle()
        model = ServedModel(name="toy", version="3", digest=bundle.digest)
        super().__init__(load_bundle(bundle.root, bundle.digest), model, settings, log)
        self.gate = threading.Event()
        self.groups: list[str | None] = []
        self.at_once = threading.Semaphore(0)

    def answer(self, question: Question) -> PredictionAnswer:
        """Held up."""
        self.groups.append(question.group)
        self.at_once.release()
        self.gate.wait(30)
        return super().answer(question)


@contextmanager
def holding(settings: ServiceSettings) -> Iterator[tuple[TestClient, Held, ThreadPoolExecutor]]:
    """A client, the answerer that holds its requests up, and threads to ask from."""
    held = Held(settings)
    with serve(settings, lambda _settings, _metrics: held) as client, ThreadPoolExecutor(8) as pool:
        try:
            yield client, held, pool
        finally:
            held.gate.set()


def test_more_requests_than_are_held_at_a_time_are_429() -> None:
    with holding(ServiceSettings(max_in_flight=1)) as (client, held, pool):
        first = pool.submit(predict, client, paint(RED))
        assert held.at_once.acquire(timeout=30)
        response = predict(client, paint(RED))
        check_problem(response, 429, "busy")
        assert response.headers["retry-after"] == "1"
        held.gate.set()
        assert first.result().status_code == 200
        assert predict(client, paint(RED)).status_code == 200


def test_one_key_that_holds_its_places_shuts_no_other_key_out() -> None:
    with holding(ServiceSettings(max_in_flight=4, max_in_flight_per_key=2)) as (client, held, pool):
        asked = [pool.submit(predict, client, paint(RED)) for _ in range(2)]
        for _ in asked:
            assert held.at_once.acquire(timeout=30)
        check_problem(predict(client, paint(RED)), 429, "busy")
        files = {"image": ("a.png", paint(RED))}
        other = pool.submit(client.post, "/predict", files=files, headers={"X-API-Key": OTHER_KEY})
        held.gate.set()
        assert other.result().status_code == 200
        assert [each.result().status_code for each in asked] == [200] * 2


def test_a_request_that_waits_too_long_for_a_thread_is_503_and_not_answered_afterwards() -> None:
    with holding(ServiceSettings(threads=1, queue_seconds=0.2)) as (client, held, pool):
        first = pool.submit(predict, client, paint(RED), group="first")
        assert held.at_once.acquire(timeout=30)
        response = predict(client, paint(RED), group="second")
        check_problem(response, 503, "overloaded")
        assert response.headers["retry-after"] == "10"
        assert read_metric(client, 'taxon_refusals_total{status="503"}') >= 1
        held.gate.set()
        assert first.result().status_code == 200
        assert [predict(client, paint(RED), group="third").status_code for _ in range(3)] == [200] * 3
        assert held.groups == ["first", *["third"] * 3]


def test_no_more_images_are_answered_at_a_time_than_there_are_threads() -> None:
    with holding(ServiceSettings(threads=2)) as (client, held, pool):
        asked = [pool.submit(predict, client, paint(RED)) for _ in range(8)]
        assert held.at_once.acquire(timeout=30)
        assert held.at_once.acquire(timeout=30)
        time.sleep(0.2)
        assert len(held.groups) == 2
        held.gate.set()
        assert [each.result().status_code for each in asked] == [200] * 8


def test_sixteen_clients_get_their_own_answers() -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), BLACK] * 12
    with serve() as client, ThreadPoolExecutor(16) as pool:
        expected = [predict(client, paint(each)).json()["top_k"] for each in colours[:4]] * 12
        answers = list(pool.map(lambda each: predict(client, paint(each)), colours))
    assert [each.json()["top_k"] for each in answers] == expected
    assert len({each.json()["prediction_id"] for each in answers}) == len(colours)


@contextmanager
def serve_logged(path: Path, clock: Callable[[], float]) -> Iterator[tuple[TestClient, PredictionLog]]:
    """A client of a service with a real log, whose pauses go by `clock`, and that log."""
    log = PredictionLog(f"sqlite:///{path}", wait_s=0.1)

    def load(settings: ServiceSettings, metrics: ServiceMetrics) -> Answerer:
        held = Held(settings, LossyLog(log, metrics.lost.inc, clock))
        held.gate.set()
        return held

    with closing(log), serve(load=load) as client:
        yield client, log


@pytest.mark.parametrize("fault", [locked, replaced, folder_gone, read_only])
def test_a_log_that_fails_costs_no_answer_every_loss_is_counted_and_it_mends(
    fault: Fault, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seconds = count(step=10)  # longer than the log is left alone after a failure
    path = tmp_path / "log" / "predictions.sqlite"
    with serve_logged(path, lambda: next(seconds)) as (client, log):
        assert predict(client, paint(RED)).status_code == 200
        log.close()
        with caplog.at_level(logging.ERROR, "taxon.serving"), fault(path):
            assert [predict(client, paint(RED)).status_code for _ in range(3)] == [200] * 3
            assert read_metric(client, "taxon_log_entries_lost_total") == 3
            ready = client.get("/readyz")
            assert (ready.status_code, ready.json()["log"]["status"]) == (200, "failing")
            assert "predictions.sqlite" in ready.json()["log"]["reason"]
        last = predict(client, paint(RED)).json()
        assert client.get("/readyz").json()["log"]["status"] == "writable"
        assert read_metric(client, "taxon_log_entries_lost_total") == 3
        assert log.read_newest(make_bundle().digest, 1)[0].prediction_id == last["prediction_id"]
    assert "answers could not be written" in caplog.text


def test_a_log_that_is_deleted_is_made_anew_and_no_answer_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "predictions.sqlite"
    with serve_logged(path, time.monotonic) as (client, log):
        assert predict(client, paint(RED)).status_code == 200
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink()
        last = [predict(client, paint(RED)).json()["prediction_id"] for _ in range(2)]
        assert read_metric(client, "taxon_log_entries_lost_total") == 0
        assert [each.prediction_id for each in log.read_newest(make_bundle().digest, 9)] == last


def test_every_group_that_is_let_in_can_be_logged(tmp_path: Path) -> None:
    with serve_logged(tmp_path / "predictions.sqlite", time.monotonic) as (client, log):
        groups = ["🐟" * 255, " visit 7/left ", "Über die Brücke", " "]
        assert [predict(client, paint(RED), group=group).status_code for group in groups] == [200] * 4
        logged = [each.group for each in log.read_newest(make_bundle().digest, 9)]
    assert sorted(logged, key=str) == sorted(["🐟" * 255, "visit 7/left", "Über die Brücke", None], key=str)

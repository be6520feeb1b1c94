"""The service over HTTP, guard included, with BentoML left out."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from serving.api.answers import Answerer, Question
from serving.api.application import build_application
from serving.api.endpoints import ENDPOINTS
from serving.api.guards import Guard
from serving.api.keys import CHECK_CLIENT, parse_keys
from serving.api.metrics import ServiceMetrics
from serving.api.problems import MEDIA_TYPE, ProblemError
from serving.api.schemas import PredictionAnswer, ServedModel
from serving.api.settings import ServiceSettings
from serving.api.state import LoadAnswerer, ServiceState
from serving.api.upload import read_upload
from serving.log.lossy import LossyLog
from serving.log.prediction_log import PredictionLog
from tests.serving.log.log_faults import Fault, folder_gone, locked, read_only, replaced
from tests.serving.toy import (
    BLACK,
    GREEN,
    KEY,
    KEYS,
    RED,
    make_answerer,
    make_bomb,
    make_bundle,
    nobody_connects,
    paint,
)
from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.base.errors import BundleError
from vision.bundle.assembly import load_bundle

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]

WITH_KEY = {"X-API-Key": KEY}
CHECK_KEY = "c" * 24
Response = Any


def load_toy(settings: ServiceSettings, _metrics: ServiceMetrics) -> Answerer:
    return make_answerer(settings)


@contextmanager
def serve(
    settings: ServiceSettings | None = None, load: LoadAnswerer = load_toy, *, wait: bool = True
) -> Iterator[TestClient]:
    """A client on this machine of a service over the toy."""
    settings, metrics = settings or ServiceSettings(), ServiceMetrics()
    application = build_application(ServiceState(settings, metrics, load))
    keys = parse_keys(f"{KEYS},{CHECK_CLIENT}:{CHECK_KEY}")
    guarded = Guard(application, application, ENDPOINTS, keys, settings.max_body_bytes, metrics)
    with TestClient(
        guarded, "http://127.0.0.1:3000", client=("127.0.0.1", 5), raise_server_exceptions=False
    ) as client:
        deadline = time.monotonic() + 30
        while wait and client.get("/readyz").status_code == 503 and time.monotonic() < deadline:
            time.sleep(0.01)
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with serve() as client:
        yield client


def predict(client: TestClient, image: bytes, query: str = "", **fields: str) -> Response:
    files = {"image": ("fish.png", image, "image/png")}
    return client.post(f"/predict{query}", files=files, data=fields, headers=WITH_KEY)


def check_problem(response: Response, status: int, code: str) -> dict[str, Any]:
    """The body of a refusal, after checking its form."""
    assert response.status_code == status
    assert response.headers["content-type"] == MEDIA_TYPE
    body: dict[str, Any] = response.json()
    assert (body["status"], body["type"]) == (status, f"urn:taxon:problem:{code}")
    assert all(body[name] for name in ("title", "detail", "arrived", "expected", "advice"))
    assert "Traceback" not in response.text
    assert ".py" not in response.text.replace("python run.py service status", "")
    return body


def test_an_image_is_answered_in_the_documented_form(client: TestClient) -> None:
    response = predict(client, paint(RED), group="visit-7")
    assert response.status_code == 200
    body = response.json()
    assert list(body) == [
        "prediction_id",
        "decision",
        "class_name",
        "confidence",
        "top_k",
        "unknown",
        "reasons",
        "model",
        "latency_ms",
    ]
    assert (body["decision"], body["class_name"]) == ("accept", "red")
    assert sorted(body["unknown"]) == ["p_value", "score", "threshold"]
    assert body["top_k"][0] == {"class_name": "red", "probability": body["confidence"]}
    assert body["model"] == {"name": "toy", "version": "3", "digest": make_bundle().digest}
    assert predict(client, paint(BLACK)).json()["decision"] == "unknown"


def test_a_heat_map_comes_only_when_asked_for(client: TestClient) -> None:
    assert PredictionAnswer.model_validate_json(
        predict(client, paint(RED), "?explain=true").text
    ).heat_map_png
    assert "heat_map_png" not in predict(client, paint(RED), "?explain=false").json()
    for query in ("?explain=maybe", "?explain=true&explain=false", "?verbose=1"):
        check_problem(predict(client, paint(RED), query), 422, "query")


@pytest.mark.parametrize(
    "content_type", ["image/png", "application/json", "application/x-www-form-urlencoded", ""]
)
def test_another_content_type_is_415(client: TestClient, content_type: str) -> None:
    headers = {**WITH_KEY, "content-type": content_type}
    check_problem(client.post("/predict", content=paint(RED), headers=headers), 415, "content-type")


def test_a_url_where_the_image_belongs_is_refused_and_nobody_fetches_it(client: TestClient) -> None:
    with nobody_connects() as url:
        form = f'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\n{url}\r\n--b--\r\n'
        headers = {**WITH_KEY, "content-type": "multipart/form-data; boundary=b"}
        body = check_problem(client.post("/predict", content=form, headers=headers), 422, "form")
        assert "URLs are not fetched" in body["arrived"]
        check_problem(predict(client, url.encode()), 415, "image-format")
        check_problem(client.post("/predict", json={"image": url}, headers=WITH_KEY), 415, "content-type")
        check_problem(predict(client, paint(RED), f"?url={url}"), 422, "query")
        named = [("image", (url, paint(RED), "image/png"))]
        assert client.post("/predict", files=named, data={"group": url}, headers=WITH_KEY).status_code == 200


IMAGE = ("image", ("a.png", paint(RED), "image/png"))


@pytest.mark.parametrize(
    ("files", "fields"),
    [
        ([], {"group": "g"}),
        ([IMAGE, IMAGE], {}),
        ([("picture", IMAGE[1])], {}),
        ([IMAGE, ("group", ("g.txt", b"g", "text/plain"))], {}),
        ([IMAGE], {"threshold": "0.1"}),
        ([IMAGE], {"group": "g", "colour": "red"}),
        ([IMAGE], {"group": "x" * 2000}),
    ],
)
def test_a_form_of_another_shape_is_422(client: TestClient, files: Any, fields: dict[str, str]) -> None:
    files = files or [("group2", ("", b""))]
    response = client.post("/predict", files=files, data=fields, headers=WITH_KEY)
    check_problem(response, 422, "form")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"--b--\r\n",
        b"--b\r\n\r\nx",
        b"\x00" * 100,
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
    ],
)
def test_a_broken_form_is_422(client: TestClient, content: bytes) -> None:
    headers = {**WITH_KEY, "content-type": "multipart/form-data; boundary=b"}
    check_problem(client.post("/predict", content=content, headers=headers), 422, "form")
    headers["content-type"] = "multipart/form-data"
    check_problem(client.post("/predict", content=content, headers=headers), 422, "form")


def test_a_group_with_control_characters_or_too_long_is_422_and_an_empty_one_is_none(
    client: TestClient,
) -> None:
    for group in ("a\x00b", "a\u202eb", "a\nb"):
        check_problem(predict(client, paint(RED), group=group), 422, "group")
    check_problem(predict(client, paint(RED), group="x" * 256), 422, "group")
    assert predict(client, paint(RED), group=" ").status_code == 200
    assert predict(client, paint(RED), group="Über die Brücke").status_code == 200
    assert predict(client, paint(RED), group="🐟" * 255).status_code == 200
    refused = check_problem(predict(client, paint(RED), group="🐟" * 256), 422, "form")
    assert "longer than 255 characters, 1020 bytes" in refused["arrived"]


def post_form(client: TestClient, group: bytes, more: str = "", name: bytes = b"a.png") -> Response:
    """An upload, byte for byte, with `more` behind the boundary in Content-Type."""
    form = b'--b\r\nContent-Disposition: form-data; name="group"\r\n\r\n' + group
    form += b'\r\n--b\r\nContent-Disposition: form-data; name="image"; filename="' + name + b'"\r\n\r\n'
    headers = {
        b"x-api-key": KEY.encode(),
        b"content-type": f"multipart/form-data; boundary=b{more}".encode("latin-1"),
    }
    return client.post("/predict", content=form + paint(RED) + b"\r\n--b--\r\n", headers=headers)


def test_a_form_is_in_utf_8_or_422(client: TestClient) -> None:
    for more in ("", "; charset=utf-8", '; charset="UTF-8"', "; charset=utf8"):
        assert post_form(client, "Brücke".encode(), more).status_code == 200
    for charset in ("idna", "punycode", "utf-7", "latin-1", "utf-16", "rot13", "no-such", "", "\xe9"):
        refused = check_problem(post_form(client, b"Bruecke", f"; charset={charset}"), 422, "form")
        assert "UTF-8" in refused["arrived"]
    refused = check_problem(post_form(client, "Brücke".encode("latin-1")), 422, "form")
    assert "a text in it is not UTF-8" in refused["arrived"]
    assert post_form(client, b"", name="Brücke.png".encode("latin-1")).status_code == 200


@pytest.mark.parametrize(
    ("name", "content"),
    [("png.jpg", paint(RED)), ("jpeg.png", paint(RED, "JPEG")), ("png.txt", paint(RED))],
)
def test_an_image_is_what_its_bytes_are(client: TestClient, name: str, content: bytes) -> None:
    upload = [("image", (name, content, "image/gif"))]
    response = client.post("/predict", files=upload, headers=WITH_KEY)
    assert (response.status_code, response.json()["class_name"]) == (200, "red")


@pytest.mark.parametrize(
    ("name", "content", "status", "words"),
    [
        ("text.jpg", b"Dear diver,\nthis is a text.\n", 415, "not a JPEG"),
        ("gif.jpg", paint(RED, "GIF"), 415, "not a JPEG"),
        ("tiff.png", paint(RED, "TIFF"), 415, "not a JPEG"),
        ("empty.jpg", b"", 422, "empty"),
        ("truncated.png", paint(RED)[:60], 422, "cut short"),
        ("truncated.jpg", paint(RED, "JPEG", (200, 200))[:-300], 422, "cut short"),
        ("corrupt.png", paint(RED)[:50] + bytes(200), 422, "damaged"),
    ],
)
def test_what_is_no_whole_image_is_refused_whatever_its_name_and_harms_no_other(
    client: TestClient, name: str, content: bytes, status: int, words: str
) -> None:
    response = client.post("/predict", files=[("image", (name, content, "image/jpeg"))], headers=WITH_KEY)
    code = "image-format" if status == 415 else "image-unusable"
    assert words in check_problem(response, status, code)["detail"]
    assert predict(client, paint(GREEN)).json()["class_name"] == "green"


def test_a_picture_of_too_many_pixels_is_422_though_its_bytes_are_few(client: TestClient) -> None:
    refused = check_problem(predict(client, make_bomb()), 422, "image-unusable")
    assert "900.0 megapixels; expected at most 40" in refused["detail"]


def test_refusals_of_the_guard_arrive_as_problems(client: TestClient) -> None:
    check_problem(client.get("/docs.json"), 404, "no-such-path")
    check_problem(client.get("/predict", headers=WITH_KEY), 405, "wrong-method")
    refused = check_problem(client.post("/predict", files=[IMAGE]), 401, "no-key")
    assert "python run.py service status says where one lies" in refused["advice"]
    assert "/" not in refused["advice"]  # strangers read it: no path
    check_problem(predict(client, b"\0" * 5_000_001), 413, "too-large")


def test_a_chunked_body_past_the_limit_is_413(client: TestClient) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        for _ in range(100):
            yield b"\0" * 100_000

    headers = {**WITH_KEY, "content-type": "multipart/form-data; boundary=b"}
    check_problem(client.post("/predict", content=pieces(), headers=headers), 413, "too-large")


def test_probes_model_and_metrics_answer(client: TestClient) -> None:
    assert client.get("/livez").json() == {"status": "alive"}
    assert client.get("/readyz").json()["digest"] == make_bundle().digest
    description = client.get("/model").json()
    assert description["class_names"] == ["red", "green", "blue"]
    assert KEY not in str(description)
    before = read_metric(client, 'taxon_decisions_total{decision="accept"}')
    predict(client, paint(GREEN))
    assert read_metric(client, 'taxon_decisions_total{decision="accept"}') == before + 1
    assert read_metric(client, "taxon_latency_seconds_count") > 0
    assert read_metric(client, "taxon_log_entries_lost_total") == 0


def test_answers_to_a_deployments_check_are_no_traffic(client: TestClient) -> None:
    counted = 'taxon_decisions_total{decision="accept"}', "taxon_latency_seconds_count"
    before = [read_metric(client, name) for name in counted]
    files = {"image": ("fish.png", paint(GREEN), "image/png")}
    answer = client.post("/predict", files=files, headers={"X-API-Key": CHECK_KEY})
    assert answer.json()["decision"] == "accept"
    assert [read_metric(client, name) for name in counted] == before
    predict(client, paint(GREEN))
    assert [read_metric(client, name) for name in counted] == [each + 1 for each in before]


def test_the_latency_is_counted_in_seconds(client: TestClient) -> None:
    before = read_metric(client, "taxon_latency_seconds_sum")
    answer = predict(client, paint(GREEN)).json()
    counted = read_metric(client, "taxon_latency_seconds_sum") - before
    assert counted == pytest.approx(answer["latency_ms"] / 1000, rel=1e-3)


def read_metric(client: TestClient, name: str) -> float:
    lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith(name + " ")]
    return float(lines[0].split()[-1])


def test_sixteen_clients_get_their_own_answers(client: TestClient) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)] * 12
    expected = [predict(client, paint(each)).json()["top_k"] for each in colours[:4]] * 12
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda each: predict(client, paint(each)), colours))
    assert [each.json()["top_k"] for each in answers] == expected
    assert len({each.json()["prediction_id"] for each in answers}) == len(colours)


def test_until_the_model_is_loaded_nothing_but_livez_answers() -> None:
    gate = threading.Event()

    def load(settings: ServiceSettings, metrics: ServiceMetrics) -> Answerer:
        gate.wait(30)
        return load_toy(settings, metrics)

    with serve(load=load, wait=False) as client:
        try:
            assert client.get("/livez").status_code == 200
            response = client.get("/readyz")
            assert "being loaded" in check_problem(response, 503, "loading")["arrived"]
            assert response.headers["retry-after"] == "1"
            assert "taxon_refusals_total{" not in client.get("/metrics").text  # polls are no refusals
            check_problem(predict(client, paint(RED)), 503, "loading")
            check_problem(client.get("/model"), 503, "loading")
            assert read_metric(client, 'taxon_refusals_total{status="503"}') == 2
        finally:
            gate.set()


def test_a_refused_model_is_never_ready_and_the_reason_is_for_this_machine_alone() -> None:
    def load(_settings: ServiceSettings, _metrics: ServiceMetrics) -> Answerer:
        raise BundleError("/secret/place/fp16.tflite has been changed")

    with serve(load=load, wait=False) as client:
        deadline = time.monotonic() + 10
        while client.get("/readyz").json()["type"].endswith("loading") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert "has been changed" in check_problem(client.get("/readyz"), 503, "refused")["arrived"]
        elsewhere = client.get("/readyz", headers={"host": "fish.example"})
        assert "secret" not in check_problem(elsewhere, 503, "refused")["detail"]
        check_problem(predict(client, paint(RED)), 503, "refused")


def test_an_unforeseen_fault_is_500_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    class Faulty:
        model = ServedModel(name="toy", version="3", digest="0" * 64)

        def answer(self, _question: Question) -> PredictionAnswer:
            raise KeyError("/secret/place.py")

    with serve(load=lambda _settings, _metrics: Faulty()) as client:  # type: ignore[arg-type, return-value]
        response = predict(client, paint(RED))
    assert "secret" not in check_problem(response, 500, "fault")["detail"]


@contextmanager
def serve_logged(path: Path, clock: Callable[[], float]) -> Iterator[tuple[TestClient, PredictionLog]]:
    """A client of a service with a real log, whose pauses go by `clock`, and that log."""
    log = PredictionLog(f"sqlite:///{path}", wait_s=0.1)

    def load(settings: ServiceSettings, metrics: ServiceMetrics) -> Answerer:
        bundle = make_bundle()
        model = ServedModel(name="toy", version="3", digest=bundle.digest)
        loaded = load_bundle(bundle.root, bundle.digest)
        return Answerer(loaded, model, settings, LossyLog(log, metrics.count_lost_entry, clock))

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


def test_more_requests_than_are_held_at_a_time_are_429() -> None:
    gate = threading.Event()
    entered = threading.Event()

    class Slow:
        model = ServedModel(name="toy", version="3", digest="0" * 64)

        def answer(self, asked: Question) -> PredictionAnswer:
            entered.set()
            gate.wait(30)
            return make_answerer().answer(asked)

    with (
        serve(ServiceSettings(max_in_flight=1), lambda _s, _m: Slow()) as client,  # type: ignore[arg-type, return-value]
        ThreadPoolExecutor(1) as pool,
    ):
        first = pool.submit(predict, client, paint(RED))
        try:
            assert entered.wait(30)
            response = predict(client, paint(RED))
            check_problem(response, 429, "busy")
            assert response.headers["retry-after"] == "1"
        finally:
            gate.set()
        assert first.result().status_code == 200
        assert predict(client, paint(RED)).status_code == 200


def test_a_request_that_waits_too_long_for_a_thread_is_503_and_not_answered_afterwards() -> None:
    gate, entered = threading.Event(), threading.Event()
    asked: list[str] = []

    class Slow:
        model = ServedModel(name="toy", version="3", digest="0" * 64)

        def answer(self, question: Question) -> PredictionAnswer:
            asked.append(question.group or "")
            entered.set()
            gate.wait(30)
            return make_answerer().answer(question)

    settings = ServiceSettings(threads=1, queue_seconds=0.2)
    with (
        serve(settings, lambda _s, _m: Slow()) as client,  # type: ignore[arg-type, return-value]
        ThreadPoolExecutor(1) as pool,
    ):
        first = pool.submit(predict, client, paint(RED), group="first")
        try:
            assert entered.wait(30)
            assert predict(client, paint(RED), group="zeroth").status_code == 503
            before = read_metric(client, 'taxon_refusals_total{status="503"}')
            response = predict(client, paint(RED), group="second")
            check_problem(response, 503, "overloaded")
            assert response.headers["retry-after"] == "10"
            assert read_metric(client, 'taxon_refusals_total{status="503"}') == before + 1
        finally:
            gate.set()
        assert first.result().status_code == 200
        assert [predict(client, paint(RED), group="third").status_code for _ in range(3)] == [200] * 3
        assert asked == ["first", *["third"] * 3]


def test_no_more_images_are_answered_at_a_time_than_there_are_threads() -> None:
    running, most = 0, 0
    counting = threading.Lock()

    class Counting:
        model = ServedModel(name="toy", version="3", digest="0" * 64)

        def answer(self, asked: Question) -> PredictionAnswer:
            nonlocal running, most
            with counting:
                running += 1
                most = max(most, running)
            time.sleep(0.1)
            with counting:
                running -= 1
            return make_answerer().answer(asked)

    settings = ServiceSettings(threads=2)
    with (
        serve(settings, lambda _s, _m: Counting()) as client,  # type: ignore[arg-type, return-value]
        ThreadPoolExecutor(8) as pool,
    ):
        answers = list(pool.map(lambda _: predict(client, paint(RED)).status_code, range(8)))
    assert answers == [200] * 8
    assert most == 2


def test_an_iterator_that_ends_in_an_answer_is_a_fault_and_costs_no_thread() -> None:
    class Ending:
        model = ServedModel(name="toy", version="3", digest="0" * 64)
        ended = False

        def answer(self, asked: Question) -> PredictionAnswer:
            if not self.ended:
                self.ended = True
                raise StopIteration
            return make_answerer().answer(asked)

    ending = Ending()
    settings = ServiceSettings(threads=1, queue_seconds=5)
    with serve(settings, lambda _s, _m: ending) as client:  # type: ignore[arg-type, return-value]
        check_problem(predict(client, paint(RED)), 500, "fault")
        assert predict(client, paint(RED)).status_code == 200


def test_a_body_that_does_not_come_is_408() -> None:
    settings = ServiceSettings(body_seconds=0.05)

    async def ask() -> int:
        async def receive() -> dict[str, Any]:
            await asyncio.sleep(60)
            return {"type": "http.disconnect"}

        headers = [(b"content-type", b"multipart/form-data; boundary=b")]
        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers}
        with pytest.raises(ProblemError) as caught:
            await read_upload(Request(scope, receive), settings)
        return caught.value.status

    assert asyncio.run(ask()) == 408

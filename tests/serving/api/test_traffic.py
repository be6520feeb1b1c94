"""GET /traffic: answers are counted, the verdict is told, and a log that is off or damaged is refused."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from serving.api.settings import ServiceSettings
from serving.api.traffic import tell_traffic
from serving.api.traffic_bodies import Traffic
from serving.log.prediction_log import PredictionLog
from serving.log.verdicts import note_verdict
from tests.serving.api.client import check_problem, logged_toy, predict, serve
from tests.serving.log.test_traffic import report
from tests.serving.toy import BLACK, GREY, RED, make_bundle, paint
from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.drift.records import DriftStatus

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]


def test_what_was_answered_is_told_with_the_last_verdict(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    with serve(load=logged_toy(path)) as client:
        before = Traffic.model_validate(client.get("/traffic").json())
        assert (before.num_answers, before.p50_ms, before.verdicts) == (0, None, ())
        for colour in (RED, RED, GREY, BLACK):
            predict(client, paint(colour))
        with closing(PredictionLog(f"sqlite:///{path}")) as log:
            note_verdict(log, make_bundle().digest, report(DriftStatus.QUIET), datetime.now(UTC))
        told = Traffic.model_validate(client.get("/traffic?hours=3").json())
    assert (told.num_answers, told.accept, told.review, told.unknown) == (4, 2, 1, 1)
    assert told.stranger + told.look_alike == 1
    assert len(told.by_hour) == 4  # two of them in part
    assert sum(each.accept for each in told.by_hour) == 2
    assert told.until - told.since == timedelta(hours=3)
    assert (told.classes[0].class_name, told.classes[0].num_answers) == (
        "red",
        3,
    )  # as the review of the grey one names it
    assert told.p50_ms is not None
    assert told.p95_ms is not None
    assert 0 < told.p50_ms <= told.p95_ms
    assert (told.num_lost, told.log.status) == (0, "writable")
    assert [each.status for each in told.verdicts] == [DriftStatus.QUIET]


def test_lost_answers_are_counted_and_what_cannot_be_told_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.sqlite").write_bytes(b"no database" * 99)
    with serve(load=logged_toy(tmp_path / "log.sqlite")) as client:
        assert predict(client, paint(RED)).status_code == 200
        check_problem(client.get("/traffic"), 503, "not-logged")
        (tmp_path / "log.sqlite").unlink()
        assert client.get("/traffic").json()["num_lost"] == 1
        check_problem(client.get("/traffic?hours=9999"), 422, "query")
    with serve() as client:
        check_problem(client.get("/traffic"), 503, "not-logged")


def test_few_are_counted_at_a_time_and_each_holds_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting: list[None] = []
    at_once: list[int] = []

    def count_slowly(*asked: Any) -> Traffic:
        counting.append(None)
        at_once.append(len(counting))
        time.sleep(0.3)
        counting.pop()
        return tell_traffic(*asked)

    monkeypatch.setattr("serving.api.endpoints.traffic.tell_traffic", count_slowly)
    with (
        serve(ServiceSettings(max_in_flight=4), logged_toy(tmp_path / "log.sqlite")) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        given = [each.status_code for each in pool.map(lambda _: client.get("/traffic"), range(8))]
    assert max(at_once) == 2
    assert set(given) == {200, 429}

"""What is counted of the log's answers, and the verdicts beside them, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from serving.log.prediction_log import PredictionLog
from serving.log.traffic import LoggedTraffic, count_traffic
from serving.log.verdicts import list_verdicts, note_verdict
from tests.serving.answers import START, make_entry
from vision.decision.records import Decision, UnknownKind
from vision.drift.records import DriftCause, DriftReport, DriftStatus

HOUR = timedelta(hours=1)
END = START + 4 * HOUR
COUNTED = "c" * 64


def append(log: PredictionLog, serial: int, **fields: Any) -> None:
    """Log an answer of a model that no other test has in the server's one database."""
    log.append(make_entry(serial, **{"prediction_id": f"counted-{serial}", "model_name": "counted"} | fields))


def report(status: DriftStatus, cause: DriftCause | None = None) -> DriftReport:
    return DriftReport(
        status=status,
        cause=cause,
        verified=True,
        reasons=("the light is another", "it is dark"),
        num_images=80,
        num_groups=9,
        num_ungrouped=0,
        num_reference_groups=9,
        alpha=0.01,
        permutations=99,
    )


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def test_answers_are_counted_by_hour_kind_and_class_and_verdicts_are_told(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/log.sqlite" if kind == "sqlite" else request.getfixturevalue("postgres")
    with closing(PredictionLog(url, wait_s=5)) as log:
        for serial in range(20):
            unknown = {"decision": Decision.UNKNOWN, "unknown_kind": UnknownKind.STRANGER}
            other = {"decision": Decision.REVIEW, "class_name": "jackknife"} if serial % 4 == 1 else {}
            fields = unknown if serial % 4 == 0 else other
            append(log, serial, time=START + HOUR * (serial // 10), latency_ms=serial, **fields)
        append(log, 20, time=START - HOUR)
        append(log, 21, model_name="another", latency_ms=-1)
        append(log, 22, time=START + 5 * HOUR, latency_ms=-1)
        found = count_traffic(log, "counted", START, END, 10)
        by_hour: Counter[tuple[int, str]] = Counter()
        for each in found.counts:
            by_hour[each.hour.hour, each.decision.value] += each.number
            assert (each.kind is UnknownKind.STRANGER) == (each.decision is Decision.UNKNOWN)
        assert sum(by_hour.values()) == 20
        assert (by_hour[12, "unknown"], by_hour[12, "review"], by_hour[12, "accept"]) == (3, 3, 4)
        assert found.classes == (("royal_gramma", 10), ("jackknife", 5))
        assert (found.p50_ms, found.p95_ms) == (9.0, 18.0)
        assert count_traffic(log, "nobody", START, END, 10) == LoggedTraffic()

        assert list_verdicts(log, COUNTED, 9) == []
        note_verdict(log, COUNTED, report(DriftStatus.INSUFFICIENT), START)
        note_verdict(log, "d" * 64, report(DriftStatus.INSUFFICIENT), START)
        note_verdict(log, COUNTED, report(DriftStatus.DRIFT, DriftCause.CAPTURE), START + HOUR)
        note_verdict(log, COUNTED, report(DriftStatus.INSUFFICIENT), START + 2 * HOUR)
        note_verdict(log, COUNTED, report(DriftStatus.INSUFFICIENT), START + 3 * HOUR)
        newest, before = list_verdicts(log, COUNTED, 9)
        assert (newest.status, newest.time, newest.cause) == (
            *(DriftStatus.INSUFFICIENT, START + 3 * HOUR),
            None,
        )
        assert (before.cause, before.num_answers, before.verified) == (DriftCause.CAPTURE, 80, True)
        assert before.reasons == ("the light is another", "it is dark")
        assert list_verdicts(log, "e" * 64, 9) == []
        assert len(list_verdicts(log, "d" * 64, 9)) == 1


@pytest.mark.parametrize(
    ("latencies", "p50", "p95"), [((10, 1000), 10, 1000), (range(1, 21), 10, 19), ((7,), 7, 7)]
)
def test_a_quantile_is_the_least_latency_that_the_share_kept_to(
    log: PredictionLog, latencies: Sequence[int], p50: float, p95: float
) -> None:
    for serial, each in enumerate(latencies):
        append(log, serial, latency_ms=each)
    found = count_traffic(log.reader, "counted", START, END, 10)
    assert (found.p50_ms, found.p95_ms) == (p50, p95)


def test_an_answer_is_written_while_others_are_counted(log: PredictionLog) -> None:
    log.append(make_entry())
    with log.reader.transaction(writes=False) as connection:
        connection.exec_driver_sql("SELECT count(*) FROM predictions").all()
        log.append(make_entry(1))
    assert count_traffic(log.reader, "reef", START, END, 10).counts[0].number == 2
    log.close()


def test_counting_reads_an_index_alone(log: PredictionLog) -> None:
    log.append(make_entry())
    query = (
        "EXPLAIN QUERY PLAN SELECT decision, count(*) FROM predictions "
        "WHERE time_us >= 5 AND model_name = 'reef' GROUP BY decision, unknown_kind"
    )
    with log.transaction(writes=False) as connection:
        plan = str(connection.exec_driver_sql(query).all())
    assert "COVERING INDEX predictions_by_time_counted" in plan

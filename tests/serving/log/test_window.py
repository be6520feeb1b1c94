"""A window holds the newest answers of one model, none of which a verdict was given on before."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from serving.log.entries import LogEntry
from serving.log.prediction_log import PredictionLog
from serving.log.window import take_window, to_window, trim
from tests.serving.answers import DIGEST, START, make_entry
from vision.base.errors import LogError
from vision.config.serve import PredictionLogSettings
from vision.decision.records import Decision, UnknownKind
from vision.drift.records import DriftStatus, LoggedSpan, LogTrimming, MonitoredWindow
from vision.drift.verdict import judge_drift
from vision.drift.window import Window, find_groups


def fill(path: Path, entries: Iterable[LogEntry]) -> None:
    with closing(PredictionLog(f"sqlite:///{path}")) as log:
        for entry in entries:
            log.append(entry)


def append(path: Path, first: int, last: int, **fields: object) -> None:
    fill(path, (make_entry(serial, **fields) for serial in range(first, last)))


def take(path: Path, previous: MonitoredWindow | None = None, limit: int = 100) -> tuple[Window, LoggedSpan]:
    with closing(PredictionLog(f"sqlite:///{path}", create=False)) as log:
        return take_window(log, "reef", DIGEST, limit, previous)


def judge(span: LoggedSpan) -> MonitoredWindow:
    """The window with a verdict."""
    fields = span.model_dump(exclude={"schema_version"})
    return MonitoredWindow(**fields, status=DriftStatus.QUIET, verified=True)


# --- conversion -----------------------------------------------------------------------------------------


def test_a_window_counts_its_strangers(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    append(path, 0, 3, decision=Decision.UNKNOWN, unknown_kind=UnknownKind.STRANGER)
    append(path, 3, 5, decision=Decision.UNKNOWN, unknown_kind=UnknownKind.LOOK_ALIKE)
    append(path, 5, 6)
    assert take(path)[1].num_strangers == 3


def test_unknown_answers_are_counted_since_the_last_verdict_those_outside_the_window_too(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.sqlite"
    append(path, 0, 30, decision=Decision.UNKNOWN)
    append(path, 30, 50, decision=Decision.ACCEPT)
    _, span = take(path, limit=25)
    assert (span.num_answers, span.num_skipped, span.num_unknown) == (25, 25, 30)
    append(path, 50, 60, decision=Decision.UNKNOWN)
    assert take(path, judge(span))[1].num_unknown == 10


def test_answers_become_a_window_in_their_order_with_groups_of_each_client() -> None:
    entries = [
        make_entry(0, group="7"),
        make_entry(1, group="7", client="beach", decision=Decision.UNKNOWN),
        make_entry(2, group=None),
        make_entry(3, group="7"),
    ]
    window = to_window(entries)
    assert window.groups.tolist() == ["harbour/7", "beach/7", "", "harbour/7"]
    assert window.clients.tolist() == ["harbour", "beach", "harbour", "harbour"]
    assert window.ungrouped.tolist() == [False, False, True, False]
    assert window.called_unknown.tolist() == [False, True, False, False]
    assert_array_equal(window.embeddings, [entry.embedding for entry in entries], strict=True)
    assert_array_equal(window.logits, [entry.logits for entry in entries], strict=True)
    assert_array_equal(window.quality, [entry.quality for entry in entries], strict=True)
    assert window.times[0] == pytest.approx(START.timestamp(), abs=1e-5)
    assert np.diff(window.times) == pytest.approx(1.0, abs=1e-5)
    groups = find_groups(window, 300.0)
    assert groups[0] == groups[3]
    assert len(set(groups.tolist())) == 3


def test_no_answers_give_a_window_that_every_reference_takes_as_insufficient() -> None:
    from tests.vision.drift.test_verdict import REFERENCE, SETTINGS

    report = judge_drift(REFERENCE, to_window([]), SETTINGS, 1)
    assert report.status is DriftStatus.INSUFFICIENT
    assert (report.missing_images, report.missing_groups) == (SETTINGS.min_images, SETTINGS.min_groups)


# --- which answers --------------------------------------------------------------------------------------


def test_the_newest_answers_are_taken_oldest_first_and_the_rest_is_counted(path: Path) -> None:
    append(path, 0, 12)
    window, span = take(path, limit=5)
    assert (span.first_number, span.last_number, span.num_answers, span.num_skipped) == (8, 12, 5, 7)
    assert (span.start, span.end) == (START + timedelta(seconds=7), START + timedelta(seconds=11))
    assert_array_equal(window.logits[0], make_entry(7).logits)
    assert span.note == ""


def test_another_models_answers_are_left_out(path: Path) -> None:
    fill(path, [make_entry(i, model_digest="e" * 64 if i % 2 else DIGEST) for i in range(10)])
    window, span = take(path)
    assert span.num_answers == len(window.times) == 5
    assert_array_equal(window.logits[1], make_entry(2).logits)


def test_two_windows_with_a_verdict_share_no_answer_whatever_the_clock_says(path: Path) -> None:
    append(path, 0, 8)
    _, first = take(path)
    append(path, 8, 13, time=START - timedelta(hours=1))
    _, second = take(path, judge(first))
    assert first.last_number == second.judged_before == 8
    assert (second.first_number, second.last_number, second.num_answers) == (9, 13, 5)


def test_a_log_that_was_made_anew_is_read_from_its_start(path: Path) -> None:
    append(path, 0, 8)
    _, first = take(path)
    path.unlink()
    append(path, 100, 104)
    _, second = take(path, judge(first))
    assert (second.judged_before, second.first_number, second.num_answers) == (0, 1, 4)


def test_answers_whose_successors_were_deleted_are_not_judged_again(path: Path) -> None:
    append(path, 0, 8)
    _, first = take(path)
    with closing(PredictionLog(f"sqlite:///{path}")) as log:
        log.delete_answers(prediction_id="id-7")
    _, second = take(path, judge(first))
    assert second.num_answers == 0
    assert "up to number 8" in second.note


# --- nothing to judge -----------------------------------------------------------------------------------


def test_a_window_without_answers_says_why(path: Path) -> None:
    window, span = take(path)
    assert len(window.times) == span.num_answers == 0
    assert (span.first_number, span.start) == (None, None)
    assert "no prediction log" in span.note
    assert not path.exists()
    append(path, 0, 3, model_digest="e" * 64, model_name="old", model_version="2")
    _, span = take(path)
    assert span.num_answers == 0
    assert "old version 2" in span.note
    with closing(PredictionLog(f"sqlite:///{path}")) as log:
        log.keep_newest(0)
    assert "holds no answers" in take(path)[1].note


def test_a_damaged_log_is_an_error(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all, but long enough to be read as one" * 40)
    with pytest.raises(LogError, match=str(path)):
        take(path)


# --- retention ------------------------------------------------------------------------------------------


def test_what_is_too_old_or_too_much_goes_and_is_counted(path: Path) -> None:
    append(path, 0, 10)
    now = START + timedelta(days=2, seconds=3)
    settings = PredictionLogSettings(keep_days=2, keep_answers=5)
    with closing(PredictionLog(f"sqlite:///{path}", create=False)) as log:
        trimming = trim(log, settings, now)
        left = [entry.number for entry in log.read_newest(DIGEST, 100)]
    assert (trimming.num_too_old, trimming.num_beyond, trimming.num_left) == (3, 2, 5)
    assert left == [6, 7, 8, 9, 10]


def trim_at(path: Path, now: datetime, previous: LogTrimming | None = None) -> LogTrimming:
    with closing(PredictionLog(f"sqlite:///{path}", create=False)) as log:
        return trim(log, PredictionLogSettings(keep_days=90), now, previous)


def test_a_clock_a_year_ahead_deletes_nothing_and_its_next_day_is_known_again(path: Path) -> None:
    append(path, 0, 10)
    first = trim_at(path, START + timedelta(days=1))
    assert (first.num_left, first.believed) == (10, START + timedelta(days=1))
    ahead = trim_at(path, START + timedelta(days=366), first)
    assert (ahead.num_too_old, ahead.num_left) == (0, 10)
    assert (ahead.believed, ahead.doubted_since) == (first.believed, START + timedelta(days=366))
    mended = trim_at(path, START + timedelta(days=2), ahead)
    assert (mended.num_left, mended.believed) == (10, START + timedelta(days=2))
    assert mended.doubted_since is None
    without_any = trim_at(path, START + timedelta(days=366))
    assert (without_any.num_left, without_any.believed) == (10, START + timedelta(seconds=9))


def test_after_a_long_pause_answers_expire_once_the_clock_has_said_so_for_a_day(path: Path) -> None:
    append(path, 0, 10)
    append(path, 10, 12, time=START + timedelta(days=80))
    known = LogTrimming(keep_days=90, keep_answers=1, believed=START + timedelta(days=91))
    now = START + timedelta(days=160)
    doubted = trim_at(path, now, known)
    assert (doubted.num_too_old, doubted.num_left) == (10, 2)  # due already when the time was known last
    again = trim_at(path, now + timedelta(hours=23), doubted)
    assert (again.num_left, again.doubted_since) == (2, now)
    sure = trim_at(path, now + timedelta(days=11), again)
    assert (sure.num_too_old, sure.num_left, sure.doubted_since) == (2, 0, None)
    assert sure.believed == now + timedelta(days=11)


def test_without_traffic_answers_expire_on_their_day(path: Path) -> None:
    append(path, 0, 1)
    trimming = None
    for day in range(0, 100, 10):
        trimming = trim_at(path, START + timedelta(days=day), trimming)
        assert (trimming.num_left > 0, trimming.doubted_since) == (day <= 90, None)


def test_answers_stamped_in_the_future_count_as_of_now(path: Path) -> None:
    append(path, 0, 10)
    append(path, 10, 11, time=START + timedelta(days=3_000))
    trimming = trim_at(path, START + timedelta(days=90, seconds=5))
    assert (trimming.num_too_old, trimming.num_left) == (5, 6)
    assert trimming.believed == START + timedelta(days=90, seconds=5)


def test_nothing_is_trimmed_where_there_is_no_log(path: Path) -> None:
    with closing(PredictionLog(f"sqlite:///{path}", create=False)) as log:
        trimming = trim(log, PredictionLogSettings(), datetime.now(UTC))
    assert (trimming.num_too_old, trimming.num_beyond, trimming.num_left) == (0, 0, 0)
    assert not path.exists()

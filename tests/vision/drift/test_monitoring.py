"""A verdict says what the window's place in the log has to do with it; tables hold one row a group."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from tests.vision.drift.test_verdict import (
    PLAIN,
    REFERENCE,
    SETTINGS,
    Sample,
    make_reference,
    make_window,
    take,
)
from tests.vision.toy import make_rule
from vision.data.quality import QUALITY_COLUMNS
from vision.decision.records import OodDetector
from vision.drift.monitoring import judge_window, tabulate_groups, tabulate_sides
from vision.drift.records import DriftStatus, LoggedSpan
from vision.drift.reference import DriftReference, round_embeddings
from vision.drift.window import drop_repeats

NAMES = ("bream", "cod", "eel")
RULE = make_rule(NAMES)
MSP = OodDetector(
    score_name="msp",
    arrays={
        "fdbd_inverse_distances": np.zeros((3, 3)),
        "embedding_mean": np.zeros(6),
    },
)


def make_span(num: int, **fields: object) -> LoggedSpan:
    plain = {
        "model_name": "reef",
        "model_digest": "d" * 64,
        "num_answers": num,
        "first_number": 1 if num else None,
        "last_number": num or None,
        "start": datetime(2026, 3, 1, tzinfo=UTC) if num else None,
        "end": datetime(2026, 3, 2, tzinfo=UTC) if num else None,
    }
    return LoggedSpan.model_validate(plain | fields)


def test_a_window_and_its_verdict_are_kept_together() -> None:
    span = make_span(120)
    report, monitored = judge_window(REFERENCE, PLAIN, span, SETTINGS, 5)
    assert report.status is monitored.status is DriftStatus.QUIET
    assert monitored.model_dump(exclude={"status", "cause", "verified"}) == span.model_dump()
    assert monitored.verified


def test_a_drifted_window_keeps_its_cause() -> None:
    window = make_window(Sample(1, 40, 3, brightness=1.5))
    _, monitored = judge_window(REFERENCE, window, make_span(120), SETTINGS, 5)
    assert (monitored.status, monitored.cause) == ("drift", "capture")


def test_what_was_judged_before_is_told_while_more_is_awaited() -> None:
    window = take(PLAIN, np.arange(60))
    report, monitored = judge_window(REFERENCE, window, make_span(60, judged_before=300), SETTINGS, 5)
    assert monitored.status is DriftStatus.INSUFFICIENT
    assert report.missing_images == SETTINGS.min_images - 60
    assert any("up to number 300 were judged before" in reason for reason in report.reasons)


def test_a_full_window_of_too_few_groups_asks_for_a_longer_one() -> None:
    window = make_window(Sample(1, 5, 40))
    report, _ = judge_window(REFERENCE, window, make_span(200, num_skipped=900), SETTINGS, 5)
    assert report.status is DriftStatus.INSUFFICIENT
    assert any("raise monitoring.window above 200" in reason for reason in report.reasons)


def test_a_full_window_of_enough_groups_asks_for_no_longer_one() -> None:
    few = make_reference(num_groups=10)
    report, _ = judge_window(few, PLAIN, make_span(120, num_skipped=900), SETTINGS, 5)
    assert report.status is DriftStatus.INSUFFICIENT
    assert report.missing_groups == 0
    assert not any("raise monitoring.window" in reason for reason in report.reasons)


def test_answers_outside_a_judged_window_are_told() -> None:
    report, _ = judge_window(REFERENCE, PLAIN, make_span(120, num_skipped=30), SETTINGS, 5)
    assert report.reasons[0].startswith("30 of 150 answers were not looked at")


def test_pictures_that_are_sent_again_and_again_count_once_and_that_is_told() -> None:
    replayed = take(PLAIN, np.tile(np.arange(120), 5))
    replayed.groups[:] = np.repeat([f"visit{i}" for i in range(5)], 120)
    replayed.times[:] = np.arange(600)
    report, _ = judge_window(REFERENCE, replayed, make_span(600), SETTINGS, 5)
    plain, _ = judge_window(REFERENCE, PLAIN, make_span(120), SETTINGS, 5)
    assert (report.num_images, report.num_repeated) == (120, 480)
    assert any("480 of 600 answers" in reason for reason in report.reasons)
    assert plain.num_repeated == 0
    few = take(PLAIN, np.tile(np.arange(40), 10))
    report, _ = judge_window(REFERENCE, few, make_span(400), SETTINGS, 5)
    assert report.status is DriftStatus.INSUFFICIENT
    assert drop_repeats(few).times.tolist() == few.times[:40].tolist()


def test_the_share_of_unknown_is_told_over_all_answers_since_the_last_check() -> None:
    span = make_span(120, num_skipped=80, num_unknown=50)
    report, _ = judge_window(REFERENCE, PLAIN, span, SETTINGS, 5)
    assert any(reason.startswith("50 of 200 answers") for reason in report.reasons)


def test_why_a_window_is_empty_is_among_the_reasons() -> None:
    window = take(PLAIN, np.arange(0))
    report, _ = judge_window(REFERENCE, window, make_span(0, note="there is no log"), SETTINGS, 5)
    assert "there is no log" in report.reasons


def test_a_group_is_one_row_of_medians_and_of_its_most_frequent_class() -> None:
    quality = np.zeros((5, len(QUALITY_COLUMNS)), np.float32)
    quality[:, 0] = [1.0, 5.0, 2.0, 10.0, 20.0]
    logits = np.array([[9, 0, 0], [0, 9, 0], [0, 9, 0], [0, 0, 9], [0, 0, 9]], np.float32)
    reference = DriftReference(
        embeddings=round_embeddings(np.zeros((5, 6))),
        quality=quality,
        logits=logits,
        called_unknown=np.zeros(5, bool),
        groups=np.array([0, 0, 0, 1, 1]),
        temperature=1.0,
        class_names=NAMES,
        quality_columns=QUALITY_COLUMNS,
    )
    table = tabulate_groups(reference, reference.groups, QUALITY_COLUMNS, RULE, MSP)
    assert list(table) == [*QUALITY_COLUMNS, "confidence", "unknown_score", "class_name"]
    assert table[QUALITY_COLUMNS[0]].tolist() == [2.0, 15.0]
    assert table["class_name"].tolist() == ["cod", "eel"]
    sure = float(np.exp(9) / (np.exp(9) + 2))
    assert table["confidence"] == pytest.approx([sure, sure])
    assert table["unknown_score"] == pytest.approx([1 - sure, 1 - sure], rel=1e-4)


def test_both_sides_have_a_row_a_group() -> None:
    earlier, later = tabulate_sides(REFERENCE, PLAIN, RULE, MSP, 300.0)
    assert {len(column) for column in earlier.values()} == {REFERENCE.num_groups}
    assert {len(column) for column in later.values()} == {40}

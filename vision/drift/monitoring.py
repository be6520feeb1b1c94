"""What monitoring says of a window, beyond the verdict itself: what to wait for, and both sides as tables.

The tables are for display. They hold one row a group, because tests that take every frame for an independent
image see drift where there is none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.base.record import IntArray
from vision.base.softmax import softmax
from vision.base.wording import count_of
from vision.config.monitoring import DriftSettings
from vision.decision.records import DecisionRule, OodDetector
from vision.decision.scores import score_unknown
from vision.drift.records import DriftReport, DriftStatus, LoggedSpan, MonitoredWindow
from vision.drift.reference import DriftReference
from vision.drift.verdict import judge_drift
from vision.drift.window import Window, check_window, drop_repeats, find_groups
from vision.drift.words import tell_since

CONFIDENCE, UNKNOWN_SCORE, CLASS_NAME = "confidence", "unknown_score", "class_name"

Table = dict[str, NDArray[Any]]


def judge_window(
    reference: DriftReference, window: Window, span: LoggedSpan, settings: DriftSettings, seed: int
) -> tuple[DriftReport, MonitoredWindow]:
    """The verdict on a window, with what its place in the log has to say about it, and both in short.

    Raises:
        WindowError: the window is of another model, or a value is not finite.
    """
    check_window(reference, window)
    fresh = drop_repeats(window)
    report = judge_drift(reference, fresh, settings, seed)
    repeated = len(window.times) - len(fresh.times)
    reasons = [*_tell_left_out(span, settings), *report.reasons]
    if repeated:
        answers = count_of(len(window.times), "answer")
        reasons.append(f"{repeated} of {answers} show a picture that was sent before: it counts once")
    reasons += _tell_span(report, span, settings)
    report = report.model_copy(update={"reasons": tuple(reasons), "num_repeated": repeated})
    fields = span.model_dump(exclude={"schema_version"})
    return report, MonitoredWindow(
        **fields, status=report.status, cause=report.cause, verified=report.verified
    )


def tabulate_groups(
    source: DriftReference | Window,
    groups: IntArray,
    quality_columns: tuple[str, ...],
    rule: DecisionRule,
    detector: OodDetector,
) -> Table:
    """One row a group: medians of quality, confidence and unknown score, and the class most often answered.

    `groups` are (n,) 0..g-1, of the n images; a column has (g,) values, float64, of the class str.
    """
    scores = score_unknown(detector, source.logits, source.embeddings.astype(np.float64))
    confidence = softmax(source.logits, rule.temperature.value).max(axis=1)
    answers = source.logits.argmax(axis=1)
    values = np.column_stack([source.quality.astype(np.float64), confidence, scores])
    names = (*quality_columns, CONFIDENCE, UNKNOWN_SCORE)
    rows = [np.flatnonzero(groups == group) for group in range(int(groups.max(initial=-1)) + 1)]
    medians = np.array([np.median(values[each], axis=0) for each in rows]).reshape(len(rows), len(names))
    classes = [int(np.bincount(answers[each]).argmax()) for each in rows]
    table: Table = {name: medians[:, i] for i, name in enumerate(names)}
    table[CLASS_NAME] = np.array([rule.class_names[each] for each in classes], dtype=np.str_)
    return table


def tabulate_sides(
    reference: DriftReference,
    window: Window,
    rule: DecisionRule,
    detector: OodDetector,
    burst_gap_seconds: float,
) -> tuple[Table, Table]:
    """Reference and window, a row a group each, repeated pictures once; see `tabulate_groups`."""
    window = drop_repeats(window)
    columns = reference.quality_columns
    groups = find_groups(window, burst_gap_seconds)
    return (
        tabulate_groups(reference, reference.groups, columns, rule, detector),
        tabulate_groups(window, groups, columns, rule, detector),
    )


def _tell_span(report: DriftReport, span: LoggedSpan, settings: DriftSettings) -> list[str]:
    """What the window's place in the log has to do with the verdict, in words."""
    reasons = [span.note] if span.note else []
    if span.num_unknown is not None and (since := span.num_answers + span.num_skipped):
        reasons.append(f"{span.num_unknown} of {count_of(since, 'answer')}{tell_since(span)} called unknown")
    if span.num_strangers:
        reasons.append(
            f"{span.num_strangers} of {count_of(span.num_answers, 'answer')} called unknown as strangers: "
            "nothing of the kind that the model was taught"
        )
    insufficient = report.status is DriftStatus.INSUFFICIENT
    if insufficient and span.num_answers and span.judged_before:
        reasons.append(f"answers up to number {span.judged_before} were judged before and do not count again")
    if insufficient and span.num_skipped and report.missing_groups:
        reasons.append(
            f"the window is full: {count_of(span.num_skipped, 'older answer')} not judged outside it, and "
            f"more answers alone do not help; raise monitoring.window above {settings.window}"
        )
    return reasons


def _tell_left_out(span: LoggedSpan, settings: DriftSettings) -> list[str]:
    """First of all: how many answers no verdict was or will be given on."""
    if not span.num_skipped:
        return []
    since = count_of(span.num_answers + span.num_skipped, "answer")
    return [
        f"{span.num_skipped} of {since}{tell_since(span)} were not looked at: they are older than the "
        f"{settings.window} of monitoring.window"
    ]

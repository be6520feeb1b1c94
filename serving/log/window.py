"""A window of logged answers as monitoring judges it: the newest of one model that no verdict was given on.

By their numbers in the log, not by time: clocks are set back, numbers are not. So two windows with a verdict
share no answer, and two verdicts that agree are two pieces of evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from serving.log.entries import LogEntry, namespace_group
from serving.log.prediction_log import PredictionLog
from serving.log.schema import VECTORS
from vision.base.record import FloatArray
from vision.config.serve import PredictionLogSettings
from vision.decision.records import Decision, UnknownKind
from vision.drift.records import LoggedSpan, LogTrimming, MonitoredWindow
from vision.drift.window import Window


def to_window(entries: Sequence[LogEntry]) -> Window:
    """Answers of one model, in their order; groups are `client/group`, "" where a client named none."""
    return Window(
        embeddings=_stack("embedding", entries),
        quality=_stack("quality", entries),
        logits=_stack("logits", entries),
        called_unknown=np.array([entry.decision is Decision.UNKNOWN for entry in entries], dtype=bool),
        clients=np.array([entry.client for entry in entries], dtype=np.str_),
        groups=np.array(
            [namespace_group(entry.client, entry.group) or "" for entry in entries], dtype=np.str_
        ),
        times=np.array([entry.time.timestamp() for entry in entries]),
    )


def _stack(name: str, entries: Sequence[LogEntry]) -> FloatArray:
    """(n, width), or (0, 0) of no entries."""
    rows = [getattr(entry, name) for entry in entries]
    return np.stack(rows) if rows else np.zeros((0, 0), VECTORS[name])


def take_window(
    log: PredictionLog, model_name: str, model_digest: str, limit: int, previous: MonitoredWindow | None
) -> tuple[Window, LoggedSpan]:
    """The newest answers of a model that came after the last window with a verdict, and which they are.

    Nothing to read (no log, no answers, none of this model, all judged) gives an empty window and a note.

    Args:
        log: opened with `create=False`.
        model_name: of the model, as the registry calls it.
        model_digest: of its bundle.
        limit: most answers.
        previous: the last window of this model with a verdict.

    Raises:
        LogError: the log is locked, damaged or not ours.
    """
    newest = log.read_newest(model_digest, limit) if log.exists() else []
    bound = _find_bound(newest, previous)
    fresh = [entry for entry in newest if entry.number > bound]
    skipped = unknown = 0
    if fresh:
        of_window = log.count(model_digest, after=fresh[0].number - 1)
        skipped = max(0, log.count(model_digest, after=bound) - of_window)
        unknown = log.count(model_digest, after=bound, decision=Decision.UNKNOWN)
    span = LoggedSpan(
        model_name=model_name,
        model_digest=model_digest,
        num_answers=len(fresh),
        num_skipped=skipped,
        num_strangers=sum(entry.unknown_kind is UnknownKind.STRANGER for entry in fresh),
        num_unknown=unknown,
        judged_before=bound if log.exists() else 0,
        first_number=fresh[0].number if fresh else None,
        last_number=fresh[-1].number if fresh else None,
        start=min((entry.time for entry in fresh), default=None),
        end=max((entry.time for entry in fresh), default=None),
        note="" if fresh else _tell_why_empty(log, model_digest, previous if newest else None),
    )
    return to_window(fresh), span


def _find_bound(newest: list[LogEntry], previous: MonitoredWindow | None) -> int:
    """Number of the last answer that was judged; 0 where none was, or where the log was made anew since.

    A log that was deleted counts from 1 again. Then its last answer has a lower number than the last judged
    one and is later; where only answers were deleted, the last one that is left is not later. A new log that
    has overtaken the last judged number is taken for the old one (docs/decisions/0013-monitoring.md).
    """
    if previous is None or previous.last_number is None or previous.end is None:
        return 0
    if newest and newest[-1].number < previous.last_number and newest[-1].time > previous.end:
        return 0
    return previous.last_number


def _tell_why_empty(log: PredictionLog, model_digest: str, judged: MonitoredWindow | None) -> str:
    if judged is not None:
        return (
            f"every answer in {log.name} has been judged: the last verdict ({judged.status}) covers those "
            f"up to number {judged.last_number}"
        )
    if not log.exists():
        return f"there is no prediction log at {log.name} yet: the service makes it with its first answer"
    others = [each for each in log.newest_of_models() if each.model_digest != model_digest]
    if not others:
        return f"the prediction log {log.name} holds no answers"
    last = others[-1]
    return (
        f"the prediction log {log.name} holds no answers of the champion (bundle {model_digest[:12]}), only "
        f"of other models, the last {last.model_name} version {last.model_version} (bundle "
        f"{last.model_digest[:12]}); deploy the champion"
    )


# --- retention ------------------------------------------------------------------------------------------


DOUBT = timedelta(days=1)
"""How long a clock that has jumped must go on saying so before answers are deleted by it."""


def trim(
    log: PredictionLog,
    settings: PredictionLogSettings,
    now: datetime,
    previous: LogTrimming | None = None,
) -> LogTrimming:
    """Delete answers older than `keep_days`, then all but the `keep_answers` newest; what went.

    A wrong clock must not empty the log. So a time that is more than half of `keep_days`, and two days, after
    the last one known (of the last trimming; before any, of the newest answer) is believed only if a trimming
    at least a day before, by the same clock, has seen such a time too. Until then age is counted by the last
    time known.

    Args:
        log: opened with `create=False`; where there is none yet, nothing goes.
        settings: what is kept.
        now: by this machine's clock, aware of its zone.
        previous: the last trimming, if there was one.

    Raises:
        LogError: the log cannot be written.
    """
    kept = {"keep_days": settings.keep_days, "keep_answers": settings.keep_answers}
    if not log.exists():
        return LogTrimming(**kept)
    keep = timedelta(days=settings.keep_days)
    believed, doubted_since = _believe(log, now, keep, previous or LogTrimming(**kept))
    num_too_old = log.delete_older_than(believed - keep)
    num_beyond = log.keep_newest(settings.keep_answers)
    return LogTrimming(
        num_too_old=num_too_old,
        num_beyond=num_beyond,
        num_left=log.count(),
        believed=believed,
        doubted_since=doubted_since,
        **kept,
    )


def _believe(
    log: PredictionLog, now: datetime, keep: timedelta, previous: LogTrimming
) -> tuple[datetime, datetime | None]:
    """The time by which answers go, and since when (by itself) the clock is doubted; None if it is not."""
    last = previous.believed or max((each.time for each in log.newest_of_models()), default=now)
    if now - last <= max(keep / 2, 2 * DOUBT):
        return now, None
    since = min(previous.doubted_since or now, now)
    return (now, None) if now - since >= DOUBT else (last, since)

"""What monitoring said of the answers of a model, kept beside them so that the service can tell it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select

from serving.log.database import LogDatabase
from serving.log.entries import to_microseconds, to_time
from serving.log.schema import VERDICTS
from vision.drift.records import DriftCause, DriftReport, DriftStatus

_COLUMNS = tuple(column for column in VERDICTS.c if column.name not in ("id", "model_digest"))


@dataclass(frozen=True)
class LoggedVerdict:
    """The verdict on one window of answers.

    Attributes:
        time: when it was given, with its zone.
        status: insufficient, quiet or drift.
        cause: of a drift; else None.
        verified: whether the groups were given, not guessed.
        num_answers: in the window.
        reasons: sentences.
    """

    time: datetime
    status: DriftStatus
    cause: DriftCause | None
    verified: bool
    num_answers: int
    reasons: tuple[str, ...]


def note_verdict(log: LogDatabase, model_digest: str, report: DriftReport, time: datetime) -> None:
    """Keep a verdict, and delete the model's earlier ones of too few answers.

    Raises:
        LogError: it is not kept.
    """
    row = {
        "time_us": to_microseconds(time),
        "model_digest": model_digest,
        "status": report.status.value,
        "cause": report.cause and report.cause.value,
        "verified": report.verified,
        "num_answers": report.num_images,
        "reasons": "\n".join(report.reasons),
    }
    with log.transaction(writes=True) as connection:
        found = VERDICTS.c
        of_too_few = (found.model_digest == model_digest) & (found.status == DriftStatus.INSUFFICIENT.value)
        connection.execute(delete(VERDICTS).where(of_too_few))
        connection.execute(insert(VERDICTS), row)


def list_verdicts(log: LogDatabase, model_digest: str, limit: int) -> list[LoggedVerdict]:
    """The newest verdicts on a model, newest first.

    Raises:
        LogError: the log cannot be read.
    """
    query = select(*_COLUMNS).where(VERDICTS.c.model_digest == model_digest)
    with log.transaction(writes=False) as connection:
        rows = connection.execute(query.order_by(VERDICTS.c.id.desc()).limit(limit)).all()
    return [
        LoggedVerdict(
            time=to_time(time_us),
            status=DriftStatus(status),
            cause=None if cause is None else DriftCause(cause),
            verified=bool(verified),
            num_answers=num_answers,
            reasons=tuple(reasons.splitlines()),
        )
        for time_us, status, cause, verified, num_answers, reasons in rows
    ]

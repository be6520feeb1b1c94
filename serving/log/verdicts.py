"""What monitoring said of the answers of a model, kept beside them so that the service can tell it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select

from serving.log.database import LogDatabase
from serving.log.schema import VERDICTS
from vision.drift.records import DriftCause, DriftReport, DriftStatus


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
    of_too_few = delete(VERDICTS).filter_by(model_digest=model_digest, status=DriftStatus.INSUFFICIENT)
    row = {
        "time": time,
        "model_digest": model_digest,
        "status": report.status,
        "cause": report.cause,
        "verified": report.verified,
        "num_answers": report.num_images,
        "reasons": "\n".join(report.reasons),
    }
    with log.transaction(writes=True) as connection:
        connection.execute(of_too_few)
        connection.execute(insert(VERDICTS), row)


def list_verdicts(log: LogDatabase, model_digest: str, limit: int) -> list[LoggedVerdict]:
    """The newest verdicts on a model, newest first.

    Raises:
        LogError: the log cannot be read.
    """
    told = VERDICTS.c
    query = select(told.time, told.status, told.cause, told.verified, told.num_answers, told.reasons)
    query = query.where(told.model_digest == model_digest).order_by(told.id.desc()).limit(limit)
    return [
        LoggedVerdict(time, status, cause, verified, number, tuple(reasons.splitlines()))
        for time, status, cause, verified, number, reasons in log.read(query)
    ]

"""What people say that an answer should have been, kept beside it and deleted with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select

from serving.log.database import LogDatabase
from serving.log.entries import LogEntry, select_entries
from serving.log.schema import CORRECTIONS, PREDICTIONS


@dataclass(frozen=True)
class Correction:
    """One person's word on one answer; a later one of the same person takes its place.

    Attributes:
        prediction_id: of the answer.
        class_name: what the picture shows; any name, as it may be none of the model's classes.
        client: name of the API key that said so, never the key.
        time: when, with its zone.
    """

    prediction_id: str
    class_name: str
    client: str
    time: datetime


@dataclass(frozen=True)
class CorrectedAnswer:
    """A correction, and the answer that it is about, without its image."""

    correction: Correction
    answer: LogEntry


def add_correction(log: LogDatabase, correction: Correction) -> bool:
    """Store a correction in place of what this client said before; False where the log holds no such answer.

    What another client says of the answer is kept beside it.

    Raises:
        LogError: it is not stored.
    """
    answer = select(PREDICTIONS.c.number).where(PREDICTIONS.c.prediction_id == correction.prediction_id)
    answer = answer.with_for_update()  # PostgreSQL: one person corrects one answer at a time
    with log.transaction(writes=True) as connection:
        number = connection.execute(answer).scalar()
        if number is None:
            return False
        key = {"number": number, "client": correction.client}
        connection.execute(delete(CORRECTIONS).filter_by(**key))
        said = {"class_name": correction.class_name, "time": correction.time}
        connection.execute(insert(CORRECTIONS), key | said)
    return True


def list_corrected(log: LogDatabase, model_name: str | None = None) -> list[CorrectedAnswer]:
    """Corrections with their answers, oldest first; of all models or of one, in all its versions.

    Raises:
        LogError: the log cannot be read.
    """
    said = CORRECTIONS.c
    query = select_entries().join(CORRECTIONS).add_columns(said.class_name, said.client, said.time)
    if model_name is not None:
        query = query.where(PREDICTIONS.c.model_name == model_name)
    return [
        CorrectedAnswer(Correction(row.prediction_id, *row[-3:]), LogEntry(*row[:-3]))
        for row in log.read(query.order_by(said.id))
    ]

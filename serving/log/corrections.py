"""What people say that an answer should have been, kept beside it and deleted with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select

from serving.log.database import LogDatabase
from serving.log.entries import check_text, to_microseconds, to_time, to_utc
from serving.log.schema import CORRECTIONS, PREDICTIONS


@dataclass(frozen=True)
class Correction:
    """One person's word on one answer; of several the last counts.

    Attributes:
        prediction_id: of the answer.
        class_name: what the picture shows; any name, as it may be none of the model's classes.
        client: name of the API key that said so, never the key.
        time: when; any zone is accepted and becomes UTC.

    Raises:
        ValueError: a naive time, or a text that is empty, too long or not storable.
    """

    prediction_id: str
    class_name: str
    client: str
    time: datetime

    def __post_init__(self) -> None:
        for name in ("prediction_id", "class_name", "client"):
            check_text(name, getattr(self, name))
        object.__setattr__(self, "time", to_utc(self.time))


def add_correction(log: LogDatabase, correction: Correction) -> bool:
    """Store a correction, committed when this returns; False where the log holds no such answer.

    Raises:
        LogError: it is not stored.
    """
    answer = select(PREDICTIONS.c.number).where(PREDICTIONS.c.prediction_id == correction.prediction_id)
    with log.transaction(writes=True) as connection:
        number = connection.execute(answer).scalar()
        if number is None:
            return False
        row = {"number": number, "client": correction.client, "class_name": correction.class_name}
        connection.execute(insert(CORRECTIONS), row | {"time_us": to_microseconds(correction.time)})
    return True


def read_corrections(log: LogDatabase, model_digest: str | None = None) -> list[Correction]:
    """All corrections, oldest first, or those of one model's answers.

    Raises:
        LogError: the log cannot be read.
    """
    columns = CORRECTIONS.c
    query = select(PREDICTIONS.c.prediction_id, columns.class_name, columns.client, columns.time_us)
    query = query.join(PREDICTIONS, columns.number == PREDICTIONS.c.number).order_by(columns.id)
    if model_digest is not None:
        query = query.where(PREDICTIONS.c.model_digest == model_digest)
    with log.transaction(writes=False) as connection:
        rows = connection.execute(query).all()
    return [Correction(answer, name, client, to_time(time_us)) for answer, name, client, time_us in rows]

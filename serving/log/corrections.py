"""What people say that an answer should have been, kept beside it and deleted with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select

from serving.log.database import LogDatabase
from serving.log.entries import check_text, to_microseconds, to_time, to_utc
from serving.log.schema import CORRECTIONS, PREDICTIONS


@dataclass(frozen=True)
class Correction:
    """One person's word on one answer; a later one of the same person takes its place.

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
        row = {"number": number, "client": correction.client, "class_name": correction.class_name}
        of_this_client = (CORRECTIONS.c.number == number) & (CORRECTIONS.c.client == correction.client)
        connection.execute(delete(CORRECTIONS).where(of_this_client))
        connection.execute(insert(CORRECTIONS), row | {"time_us": to_microseconds(correction.time)})
    return True


@dataclass(frozen=True)
class CorrectedAnswer:
    """A correction and the answer that it is about.

    Attributes:
        correction: what a person said.
        file_name: of the picture.
        group: individual, camera or visit; None where none was given.
        decision: accept, review or unknown.
        class_name: that the model named, or the nearest of an unknown picture.
        model: name and version of the model.
    """

    correction: Correction
    file_name: str
    group: str | None
    decision: str
    class_name: str
    model: str


def list_corrected(log: LogDatabase, model_name: str | None = None) -> list[CorrectedAnswer]:
    """Corrections with their answers, oldest first; of all models or of one, in all its versions.

    Raises:
        LogError: the log cannot be read.
    """
    said, given = CORRECTIONS.c, PREDICTIONS.c
    query = select(
        *(given.prediction_id, said.class_name, said.client, said.time_us),
        *(given.file_name, given.group_name, given.decision, given.class_name),
        *(given.model_name, given.model_version),
    )
    query = query.join(PREDICTIONS, said.number == given.number).order_by(said.id)
    if model_name is not None:
        query = query.where(given.model_name == model_name)
    with log.transaction(writes=False) as connection:
        rows = connection.execute(query).all()
    return [
        CorrectedAnswer(
            correction=Correction(answer, named, client, to_time(time_us)),
            file_name=file_name,
            group=group,
            decision=decision,
            class_name=class_name,
            model=f"{model} version {version}",
        )
        for answer, named, client, time_us, file_name, group, decision, class_name, model, version in rows
    ]

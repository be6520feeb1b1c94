"""Classes that were enrolled from a few pictures: kept with the pictures until a training takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, insert, select

from serving.log.database import LogDatabase
from serving.log.entries import check_text, clean_file_name, to_microseconds, to_time, to_utc
from serving.log.schema import ENROLMENT_IMAGES, ENROLMENTS


@dataclass(frozen=True, eq=False)
class Enrolment:
    """Pictures of a new class, as one client sent them.

    Attributes:
        model_name: of which it is a new class, in all its versions.
        class_name: of the new class.
        client: name of the API key that sent them, never the key.
        time: when, in UTC.
        images: name and bytes of each file.

    Raises:
        ValueError: a naive time, or a text that is empty, too long or not storable.
    """

    model_name: str
    class_name: str
    client: str
    time: datetime
    images: Sequence[tuple[str, bytes]]

    def __post_init__(self) -> None:
        for name in ("model_name", "class_name", "client"):
            check_text(name, getattr(self, name))
        if not is_folder_name(self.class_name):
            raise ValueError(f"class_name is {self.class_name!r}; expected what can name a folder.")
        object.__setattr__(self, "time", to_utc(self.time))


def is_folder_name(class_name: str) -> bool:
    """Whether a class can be a folder of that name, as trainings read classes, and no path elsewhere."""
    return not set(class_name) & set("/\\") and not class_name.startswith(".")


def add_enrolment(log: LogDatabase, enrolment: Enrolment) -> None:
    """Store an enrolment beside the earlier ones of its class.

    Raises:
        LogError: it is not stored.
    """
    row = {name: getattr(enrolment, name) for name in ("model_name", "class_name", "client")}
    row["time_us"] = to_microseconds(enrolment.time)
    with log.transaction(writes=True) as connection:
        number = connection.execute(insert(ENROLMENTS).returning(ENROLMENTS.c.id), row).scalar_one()
        images = [
            {"enrolment": number, "file_name": clean_file_name(name), "image": image}
            for name, image in enrolment.images
        ]
        connection.execute(insert(ENROLMENT_IMAGES), images)


def tell_state(log: LogDatabase, model_name: str) -> tuple[int, int]:
    """Two numbers that differ after any change of a model's enrolments.

    Raises:
        LogError: the log cannot be read.
    """
    of_model = ENROLMENTS.c.model_name == model_name
    query = select(func.count(), func.coalesce(func.max(ENROLMENTS.c.id), 0)).where(of_model)
    with log.transaction(writes=False) as connection:
        count, last = connection.execute(query).one()
    return count, last


def list_enrolments(log: LogDatabase, model_name: str) -> list[Enrolment]:
    """A model's enrolments with their pictures, oldest first.

    Raises:
        LogError: the log cannot be read.
    """
    kept, own = ENROLMENTS.c, ENROLMENT_IMAGES.c
    query = select(kept.id, kept.class_name, kept.client, kept.time_us).where(kept.model_name == model_name)
    found = []
    with log.transaction(writes=False) as connection:
        for number, class_name, client, time_us in connection.execute(query.order_by(kept.id)).all():
            files = select(own.file_name, own.image).where(own.enrolment == number).order_by(own.id)
            images = [(name, bytes(image)) for name, image in connection.execute(files).all()]
            found.append(Enrolment(model_name, class_name, client, to_time(time_us), images))
    return found


def forget_class(log: LogDatabase, model_name: str, class_name: str) -> int:
    """Delete a class's enrolments and pictures; how many enrolments there were.

    Raises:
        LogError: they could not be deleted.
    """
    own = (ENROLMENTS.c.model_name == model_name) & (ENROLMENTS.c.class_name == class_name)
    with log.transaction(writes=True) as connection:
        gone = select(ENROLMENTS.c.id).where(own)
        connection.execute(delete(ENROLMENT_IMAGES).where(ENROLMENT_IMAGES.c.enrolment.in_(gone)))
        return int(connection.execute(delete(ENROLMENTS).where(own)).rowcount)

"""Classes that were enrolled from a few pictures: kept with the pictures until a training takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy import delete, func, insert, select

from serving.log.database import LogDatabase
from serving.log.entries import clean_file_name
from serving.log.schema import ENROLMENT_IMAGES, ENROLMENTS


@dataclass(frozen=True, eq=False)
class Enrolment:
    """Pictures of a new class, as one client sent them.

    Attributes:
        model_name: of which it is a new class, in all its versions.
        class_name: of the new class; it can name a folder.
        client: name of the API key that sent them, never the key.
        time: when, with its zone.
        images: name and bytes of each file, one or more.

    Raises:
        ValueError: a class that cannot name a folder.
    """

    model_name: str
    class_name: str
    client: str
    time: datetime
    images: Sequence[tuple[str, bytes]]

    def __post_init__(self) -> None:
        if not is_folder_name(self.class_name):
            raise ValueError(f"class_name is {self.class_name!r}; expected what can name a folder.")


def is_folder_name(class_name: str) -> bool:
    """Whether a class can be a folder of that name, as trainings read classes, and no path elsewhere."""
    return not set(class_name) & set("/\\") and not class_name.startswith(".")


def add_enrolment(log: LogDatabase, enrolment: Enrolment) -> None:
    """Store an enrolment beside the earlier ones of its class.

    Raises:
        LogError: it is not stored.
    """
    row = {name: getattr(enrolment, name) for name in ("model_name", "class_name", "client", "time")}
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
    query = select(func.count(), func.coalesce(func.max(ENROLMENTS.c.id), 0))
    count, last = log.read(query.where(ENROLMENTS.c.model_name == model_name))[0]
    return count, last


def list_enrolments(log: LogDatabase, model_name: str) -> list[Enrolment]:
    """A model's enrolments with their pictures, oldest first.

    Raises:
        LogError: the log cannot be read.
    """
    kept, own = ENROLMENTS.c, ENROLMENT_IMAGES.c
    query = select(kept.id, kept.class_name, kept.client, kept.time, own.file_name, own.image)
    query = query.join_from(ENROLMENTS, ENROLMENT_IMAGES).where(kept.model_name == model_name)
    rows = log.read(query.order_by(kept.id, own.id))
    return [
        Enrolment(model_name, class_name, client, time, [(row.file_name, row.image) for row in pictures])
        for (_, class_name, client, time), pictures in groupby(rows, lambda row: row[:4])
    ]


def forget_class(log: LogDatabase, model_name: str, class_name: str) -> int:
    """Delete a class's enrolments and with them their pictures; how many enrolments there were.

    Raises:
        LogError: they could not be deleted.
    """
    own = delete(ENROLMENTS).filter_by(model_name=model_name, class_name=class_name)
    with log.transaction(writes=True) as connection:
        return int(connection.execute(own).rowcount)

"""The log of answers: the service appends, monitoring reads windows of one model, an operator deletes.

An answer is appended, and committed, before it is sent. When that fails (database locked, gone, full) the
caller sends the answer all the same and counts the loss; the log mends itself once the database is back.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, insert, select

from serving.log.database import LogDatabase
from serving.log.entries import LogEntry, check_group
from serving.log.rows import insert_answer, to_entry, to_microseconds, to_row, to_time
from serving.log.schema import IMAGES, PREDICTIONS
from serving.log.sqlite import pause_after

MAX_ENTRIES = 100_000
"""Most answers that one call reads: about 400 MB with embeddings of width 1,280."""

_DELETED_AT_ONCE = 500
_BYTES_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class LoggedModel:
    """One model that has answers in the log, and when the last of them was given (UTC).

    `name` and `version` are those that it had when it answered last.
    """

    digest: str
    name: str
    version: str
    last: datetime


class PredictionLog:
    """Answers in a SQLite file or a PostgreSQL database; threads and processes may share it.

    Every method raises `LogError` when the database is locked, gone, full, damaged, of a newer version or not
    ours. Waiting for others is bounded by `wait_s`, twice that while the database is opened; connecting to a
    PostgreSQL server that does not answer takes up to two seconds.

    Attributes:
        keep_images: store the bytes of images (personal data: docs/privacy.md).
    """

    def __init__(
        self, url: str, *, wait_s: float = 0.5, keep_images: bool = False, create: bool = True
    ) -> None:
        """Name the database; it is opened, made or migrated when it is first used.

        Args:
            url: `sqlite:///PATH` (relative to the working folder of now) or `postgresql://...`.
            wait_s: seconds, longest wait for other threads and processes together.
            keep_images: store `LogEntry.image`; without it the bytes are dropped.
            create: make a SQLite file where there is none; readers say no, and learn of a mistyped path.

        Raises:
            ConfigError: the URL is of another kind, or PostgreSQL's driver is not installed.
        """
        self.keep_images = keep_images
        self._database = LogDatabase(url, wait_s, create=create)

    @property
    def name(self) -> str:
        """Path of the file, or the URL without its password."""
        return self._database.name

    def exists(self) -> bool:
        """Whether there is a log yet: the service makes its SQLite file with the first answer."""
        return self._database.exists()

    def close(self) -> None:
        """Close all connections; the next use opens anew."""
        self._database.close()

    # --- writing ----------------------------------------------------------------------------------------

    def append(self, entry: LogEntry) -> int:
        """Store one answer; it is committed when this returns. Gives its number in the log.

        Raises:
            LogError: it is not stored. Send the answer and count the loss; a later call may succeed.
        """
        with self._database.writing() as connection:
            number = insert_answer(connection, to_row(entry))
            if self.keep_images and entry.image is not None:
                connection.execute(insert(IMAGES), {"number": number, "image": entry.image})
        return number

    def check(self) -> None:
        """Whether an answer could be written now: opens the database and takes its write lock, for readiness.

        A full disk does not show here, only when something is written.

        Raises:
            LogError: says why not and what to do.
        """
        with self._database.writing() as connection:
            connection.execute(select(PREDICTIONS.c.number).limit(1))

    # --- reading ----------------------------------------------------------------------------------------

    def read_newest(self, model_digest: str, limit: int, *, images: bool = False) -> list[LogEntry]:
        """The newest answers of one model, oldest first.

        Newest is by place in the log, not by time: clocks are set back, places are not.

        Args:
            model_digest: digest of the bundle that answered.
            limit: most answers, at most `MAX_ENTRIES`.
            images: read the images too, where they were kept.

        Raises:
            ValueError: a limit out of bounds.
        """
        if not 1 <= limit <= MAX_ENTRIES:
            raise ValueError(f"limit is {limit}; expected 1 to {MAX_ENTRIES}.")
        query = select(PREDICTIONS, IMAGES.c.image) if images else select(PREDICTIONS)
        if images:
            query = query.outerjoin(IMAGES, IMAGES.c.number == PREDICTIONS.c.number)
        query = query.where(PREDICTIONS.c.model_digest == model_digest)
        query = query.order_by(PREDICTIONS.c.number.desc()).limit(limit)
        with self._database.reading() as connection:
            return [to_entry(row, self.name) for row in connection.execute(query)][::-1]

    def count(self, model_digest: str | None = None, *, after: int = 0) -> int:
        """Number of answers, of one model or all, with a `number` higher than `after`."""
        query = select(func.count()).select_from(PREDICTIONS).where(PREDICTIONS.c.number > after)
        if model_digest is not None:
            query = query.where(PREDICTIONS.c.model_digest == model_digest)
        with self._database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def models(self) -> list[LoggedModel]:
        """Every model that has answers in the log; the one that answered last comes last."""
        columns = PREDICTIONS.c
        last = select(func.max(columns.number)).group_by(columns.model_digest)
        query = select(columns.model_digest, columns.model_name, columns.model_version, columns.time_us)
        query = query.where(columns.number.in_(last)).order_by(columns.number)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return [LoggedModel(digest, name, version, to_time(last)) for digest, name, version, last in rows]

    # --- deleting ---------------------------------------------------------------------------------------

    def delete_older_than(self, time: datetime, *, images_only: bool = False) -> int:
        """Delete answers given before `time`, or only their images; gives how many, and their space back.

        Raises:
            ValueError: a time without a zone.
        """
        return self._delete([PREDICTIONS.c.time_us < to_microseconds(time)], images_only=images_only)

    def keep_newest(self, num_answers: int) -> int:
        """Delete all but the newest answers, whichever model gave them; gives how many, and their space back.

        Raises:
            ValueError: a negative number.
        """
        if num_answers < 0:
            raise ValueError(f"num_answers is {num_answers}; expected 0 or more.")
        newest = select(PREDICTIONS.c.number).order_by(PREDICTIONS.c.number.desc())
        with self._database.reading() as connection:
            last = connection.execute(newest.offset(num_answers).limit(1)).scalar()
        return 0 if last is None else self._delete([PREDICTIONS.c.number <= last])

    def delete_answers(
        self, *, prediction_id: str | None = None, client: str | None = None, group: str | None = None
    ) -> int:
        """Delete the answers that fit all that is given, with their images; gives how many.

        Args:
            prediction_id: one answer.
            client: name of the API key.
            group: as the client gave it; without `client`, that group of every client.

        Raises:
            ValueError: nothing is given, or something blank, which would ask for more than was meant.
        """
        given = {"prediction_id": prediction_id, "client": client, "group": group}
        for name, value in given.items():
            if value is not None and not value.strip():
                raise ValueError(
                    f"{name} is {value!r}; expected one that is not blank. Leave it out to ask for any."
                )
        wanted = {"prediction_id": prediction_id, "client": client, "group_name": check_group(group)}
        conditions = [PREDICTIONS.c[name] == value for name, value in wanted.items() if value is not None]
        if not conditions:
            raise ValueError("Nothing says which answers to delete; expected prediction_id, client or group.")
        return self._delete(conditions)

    def _delete(self, conditions: Sequence[ColumnElement[bool]], *, images_only: bool = False) -> int:
        """Delete little at a time, with pauses, so that the service's writes get through in between."""
        table = IMAGES if images_only else PREDICTIONS
        found = select(PREDICTIONS.c.number, func.coalesce(func.length(IMAGES.c.image), 0))
        found = found.join(IMAGES, IMAGES.c.number == PREDICTIONS.c.number, isouter=not images_only)
        found = found.where(*conditions).order_by(PREDICTIONS.c.number).limit(_DELETED_AT_ONCE)
        num_deleted, last = 0, 0
        while True:
            with self._database.reading() as connection:
                sizes = [(row[0], row[1]) for row in connection.execute(found.where(table.c.number > last))]
            if not sizes:
                break
            for numbers in _split_by_bytes(sizes):
                with self._database.writing() as connection:
                    started = time.monotonic()
                    gone = connection.execute(delete(table).where(table.c.number.in_(numbers)))
                num_deleted += gone.rowcount
                time.sleep(pause_after(time.monotonic() - started))
            last = sizes[-1][0]
        self._database.reclaim_space()
        return num_deleted


def _split_by_bytes(sizes: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    """Numbers of answers whose images have at most `_BYTES_AT_ONCE` together, or of one answer."""
    numbers: list[int] = []
    total = 0
    for number, size in sizes:
        if numbers and total + size > _BYTES_AT_ONCE:
            yield numbers
            numbers, total = [], 0
        numbers.append(number)
        total += size
    yield numbers

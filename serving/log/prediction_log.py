"""The log of answers: the service appends, monitoring reads windows of one model, an operator deletes.

An answer is appended, and committed, before it is sent. When that fails (database locked, gone, full) the
caller sends the answer all the same and counts the loss; the log mends itself once the database is back.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate

from sqlalchemy import ColumnElement, delete, func, insert, select

from serving.log.database import LogDatabase, reclaim_pages
from serving.log.entries import LogEntry, check_group, select_entries, to_row, to_utc
from serving.log.schema import IMAGES, PREDICTIONS
from vision.decision.records import Decision

_DELETED_AT_ONCE = 250
_BYTES_AT_ONCE = 1_000_000
_INSERT = insert(PREDICTIONS).returning(PREDICTIONS.c.number)


class PredictionLog(LogDatabase):
    """Answers in a SQLite file or a PostgreSQL database; threads and processes may share it.

    Every method raises `LogError` when the database is locked, gone, full, damaged, of a newer version or not
    ours. It waits at most `wait_s` for other threads and as long for other processes; connecting to a
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
            wait_s: seconds, longest wait for other threads, and for other processes.
            keep_images: store `LogEntry.image`; without it the bytes are dropped.
            create: make a SQLite file where there is none; readers say no, and learn of a mistyped path.

        Raises:
            ConfigError: the URL is of another kind, or PostgreSQL's driver is not installed.
        """
        super().__init__(url, wait_s, create=create)
        self.keep_images = keep_images

    # --- writing ----------------------------------------------------------------------------------------

    def append(self, *entries: LogEntry) -> int:
        """Store answers, all or none, committed when this returns; the number of the last in the log.

        Raises:
            LogError: none is stored. Send the answers and count the loss; a later call may succeed.
        """
        number = 0
        with self.transaction(writes=True) as connection:
            for entry in entries:
                number = connection.execute(_INSERT, to_row(entry)).scalar_one()
                if self.keep_images and entry.image is not None:
                    connection.execute(insert(IMAGES), {"number": number, "image": entry.image})
        return number

    def check(self) -> None:
        """Whether an answer could be written now: opens the database and takes its write lock, for readiness.

        A full disk does not show here, only when something is written.

        Raises:
            LogError: says why not and what to do.
        """
        with self.transaction(writes=True) as connection:
            connection.execute(select(PREDICTIONS.c.number).limit(1)).all()

    # --- reading ----------------------------------------------------------------------------------------

    def read_newest(self, model_digest: str, limit: int, *, images: bool = False) -> list[LogEntry]:
        """The newest answers of one model, oldest first, at most `limit`; with their images if asked for.

        Newest is by place in the log, not by time: clocks are set back, places are not.
        """
        query = select_entries(images=images).where(PREDICTIONS.c.model_digest == model_digest)
        rows = self.read(query.order_by(PREDICTIONS.c.number.desc()).limit(limit))
        return [LogEntry(*row) for row in reversed(rows)]

    def count(
        self, model_digest: str | None = None, *, after: int = 0, decision: Decision | None = None
    ) -> int:
        """Number of answers, of one model or all, with a `number` higher than `after` and this decision."""
        query = select(func.count()).where(PREDICTIONS.c.number > after)
        if model_digest is not None:
            query = query.where(PREDICTIONS.c.model_digest == model_digest)
        if decision is not None:
            query = query.where(PREDICTIONS.c.decision == decision)
        return int(self.read(query)[0][0])

    def newest_of_models(self) -> list[LogEntry]:
        """The newest answer of every model; that of the model which answered last comes last."""
        number = PREDICTIONS.c.number
        newest = select(func.max(number)).group_by(PREDICTIONS.c.model_digest)
        query = select_entries().where(number.in_(newest)).order_by(number)
        return [LogEntry(*row) for row in self.read(query)]

    def find(self, prediction_ids: Sequence[str]) -> set[str]:
        """Those of the answers that are in the log."""
        column = PREDICTIONS.c.prediction_id
        return {row[0] for row in self.read(select(column).where(column.in_(prediction_ids)))}

    # --- deleting ---------------------------------------------------------------------------------------

    def delete_older_than(self, time: datetime, *, images_only: bool = False) -> int:
        """Delete answers given before `time`, or only their images; gives how many, and their space back.

        Raises:
            ValueError: a time without a zone.
        """
        return self._delete(PREDICTIONS.c.time < to_utc(time), images_only=images_only)

    def keep_newest(self, num_answers: int) -> int:
        """Delete all but the newest answers, whichever model gave them; gives how many, and their space back.

        Raises:
            ValueError: a negative number.
        """
        if num_answers < 0:
            raise ValueError(f"num_answers is {num_answers}; expected 0 or more.")
        newest = select(PREDICTIONS.c.number).order_by(PREDICTIONS.c.number.desc())
        beyond = self.read(newest.offset(num_answers).limit(1))
        return self._delete(PREDICTIONS.c.number <= beyond[0][0]) if beyond else 0

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
        wanted = {name: value for name, value in given.items() if value is not None}
        if not wanted or not all(value.strip() for value in wanted.values()):
            raise ValueError(
                f"Asked to delete answers of {wanted}; expected prediction_id, client or group, none blank."
            )
        if group is not None:
            wanted["group"] = check_group(group) or ""
        return self._delete(*(PREDICTIONS.c[name] == value for name, value in wanted.items()))

    def _delete(self, *conditions: ColumnElement[bool], images_only: bool = False) -> int:
        """Delete little at a time, with pauses, so that the service's writes get through in between.

        SQLite waits by sleeping, up to 0.1 s at a time: in a pause of twice the work a waiter wakes up.
        """
        found = select(PREDICTIONS.c.number, func.coalesce(func.length(IMAGES.c.image), 0))
        found = found.join_from(PREDICTIONS, IMAGES, isouter=not images_only).where(*conditions)
        found = found.order_by(PREDICTIONS.c.number).limit(_DELETED_AT_ONCE)
        table = IMAGES if images_only else PREDICTIONS
        num_deleted = 0
        while rows := self.read(found):
            totals = accumulate(size for _, size in rows)
            within = sum(total <= _BYTES_AT_ONCE for total in totals)
            numbers = [number for number, _ in rows[: max(1, within)]]
            with self.transaction(writes=True) as connection:
                started = time.monotonic()
                gone = connection.execute(delete(table).where(table.c.number.in_(numbers)))
                reclaim_pages(connection)
            num_deleted += gone.rowcount
            time.sleep(min(max(2 * (time.monotonic() - started), 0.01), 1.0))
        self.empty_wal()
        return num_deleted

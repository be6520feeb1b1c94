"""The database of the prediction log: one connection, opened at first use, with a time limit on every wait.

A service must start and answer while its log is locked or gone. Nothing is opened before the first use, and
after a failure the next use opens anew. SQLite itself goes on writing, without an error, to a file that was
deleted or exchanged: this is looked for at every use.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Select, create_engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from serving.log.schema import is_current, upgrade
from serving.log.url import is_sqlite, parse_url
from vision.base.errors import LogError

_CONNECT_SECONDS = 2  # libpq counts whole seconds and treats 1 as 2
_RETRY_SECONDS = 0.005
_READ_SECONDS = 5.0  # readers share one connection; writers have another

_BUSY = "Another process holds it: wait for that, or find it with fuser."
_DAMAGED = (
    "Move it away with its -wal and -shm (a new one is made), or name another; sqlite3 FILE .recover saves "
    "what can be read."
)
_ADVICE = {
    "SQLITE_BUSY": _BUSY,
    "SQLITE_FULL": "Free some space on the disk first; deleting old answers (docs/privacy.md) needs it too.",
    "SQLITE_READONLY": "Change its permissions, or name a database that can be written.",
    "SQLITE_CANTOPEN": "Check the path and its permissions.",
    "SQLITE_NOTADB": _DAMAGED,
    "SQLITE_CORRUPT": f"The file is damaged. {_DAMAGED}",
    "SQLITE_CONSTRAINT_UNIQUE": "An answer of this prediction_id is logged already: give each its own.",
    "SQLITE_IOERR": "Check the disk. After a -wal or -shm was deleted, every process must open the log anew.",
}


class LogDatabase:
    """One SQLite file or PostgreSQL database; threads may share it and take turns.

    Attributes:
        name: what errors call it: the path of the file, or the URL without its password.
    """

    def __init__(self, url: str, wait_s: float, *, create: bool) -> None:
        """Name the database, without opening it; see `PredictionLog`."""
        parsed = parse_url(url)
        self._path = Path(parsed.database or "").absolute() if is_sqlite(parsed) else None
        self.name = str(self._path or parsed.render_as_string(hide_password=True))
        self._wait_s, self._create = wait_s, create
        arguments: dict[str, Any] = {"timeout": wait_s}
        if self._path is not None:
            parsed = parsed.set(database=str(self._path))
        else:
            arguments = {
                "connect_timeout": _CONNECT_SECONDS,
                "tcp_user_timeout": _CONNECT_SECONDS * 1000,
                "options": f"-c lock_timeout={max(1, round(wait_s * 1000))}",
            }
        self._engine = create_engine(
            parsed,
            connect_args=arguments,
            hide_parameters=True,
            pool_size=1,
            max_overflow=0,
            pool_timeout=wait_s,
            pool_pre_ping=self._path is None,  # a server that was restarted costs no answer
        )
        if self._path is not None:
            event.listen(self._engine, "do_connect", self._make_file)
            event.listen(self._engine, "connect", _set_up_connection)
            event.listen(self._engine, "checkout", self._refuse_other_files)
            event.listen(self._engine, "begin", _begin)

    def exists(self) -> bool:
        """Whether there is a SQLite file: the service makes it with the first answer; True of a server."""
        return self._path is None or self._path.exists()

    @cached_property
    def reader(self) -> LogDatabase:
        """The same database by a connection of its own: a long read keeps no answer from being written."""
        url = self._engine.url.render_as_string(hide_password=False)
        return LogDatabase(url, max(self._wait_s, _READ_SECONDS), create=False)

    def close(self) -> None:
        """Close the connection; the next use opens anew."""
        if "reader" in self.__dict__:
            self.reader.close()
        self._engine.dispose()

    @contextmanager
    def transaction(self, *, writes: bool) -> Iterator[Connection]:
        """A connection in a transaction, committed when the block ends well; closed after what fails.

        If it `writes`, it holds SQLite's write lock from its beginning.

        Raises:
            LogError: the database cannot be opened, locked in time, read or written.
        """
        try:
            with self._engine.connect() as connection:
                try:
                    if "files" not in connection.info:
                        self._bring_up_to_date(connection)
                        connection.info["files"] = self._identify_files()
                    connection.execution_options(writes=writes)
                    with connection.begin():
                        yield connection
                    files = connection.info["files"]
                except BaseException:
                    connection.invalidate()
                    raise
            is_lost = writes and files != self._identify_files()
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            if "reader" in self.__dict__:
                self.reader.close()  # it may still hold a file that was emptied, and none can be made of that
            doing = "write" if writes else "read"
            raise LogError(_describe_failure(self.name, doing, error)) from error
        if is_lost:
            raise LogError(
                f"{self.name} was deleted or exchanged while it was written to; what was written is lost. "
                "The next use opens the file anew."
            )

    def read(self, query: Select[Any]) -> Sequence[Row[Any]]:
        """The rows of a query, in a transaction of its own.

        Raises:
            LogError: the database cannot be read, or holds values that Taxon did not write.
        """
        try:
            with self.transaction(writes=False) as connection:
                return connection.execute(query).all()
        except (ValueError, LookupError) as error:
            raise LogError(
                f"{self.name} cannot be read: {error}. Something else than this version of Taxon wrote it. "
                "Delete that, update Taxon, or name another database."
            ) from error

    def empty_wal(self) -> None:
        """Move SQLite's write-ahead log into the file, so that nothing that was deleted is left in it.

        Raises:
            LogError: the database cannot be opened or written.
        """
        if self._path is not None:
            with self.transaction(writes=False) as connection:  # which holds no lock: it reads nothing
                for mode in ("PASSIVE", "TRUNCATE"):  # the first does most, without the write lock
                    connection.exec_driver_sql(f"PRAGMA wal_checkpoint({mode})").all()

    def _bring_up_to_date(self, connection: Connection) -> None:
        """Migrate where needed; a database that is not ours is not touched."""
        with connection.begin():
            if is_current(connection, self.name):
                return
        if self._path is not None:
            _prepare_file(connection, self.name, self._wait_s)
        connection.execution_options(writes=True)
        upgrade(connection)

    def _make_file(self, *_: Any) -> None:
        """An empty file that only its owner can read; SQLite gives the -wal and -shm beside it that mode."""
        if self._path is None or self._path.exists():
            return
        if not self._create:
            raise LogError(
                f"{self.name}: there is no prediction log; expected one that a service has written. "
                "Start the service, or name the database that it writes."
            )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another worker was first
            self._path.touch(0o600, exist_ok=False)

    def _refuse_other_files(self, _connection: Any, record: Any, _proxy: Any) -> None:
        """Have the pool open a connection anew if its files are gone or others lie there."""
        if record.info.get("files") not in (None, self._identify_files()):
            raise DisconnectionError

    def _identify_files(self) -> tuple[int | None, ...]:
        """Inodes of the SQLite file, its -wal and its -shm, which last as long as a connection is open.

        An open file keeps its inode from being given again, so a file that was made anew has another.
        """
        if self._path is None:
            return ()
        return tuple(_find_inode(f"{self._path}{suffix}") for suffix in ("", "-wal", "-shm"))


def reclaim_pages(connection: Connection) -> None:
    """Give the pages of deleted rows back to the disk; PostgreSQL does this by itself (autovacuum)."""
    if connection.dialect.name == "sqlite":
        for _ in range(connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()):
            connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")  # the driver stops after each page


# --- SQLite ---------------------------------------------------------------------------------------------


def _set_up_connection(connection: sqlite3.Connection, _: Any) -> None:
    """Settings that SQLite does not keep in the file.

    `synchronous=NORMAL`: an answer outlasts the death of the process; a power cut may lose the last ones, but
    leaves the file whole. `secure_delete`: what is deleted for a person's sake is overwritten.
    """
    connection.isolation_level = None  # transactions begin in _begin, and nowhere else
    for pragma in ("synchronous = NORMAL", "foreign_keys = ON", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    """Writers take the lock at once: a reader that becomes a writer could fail without waiting."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_file(connection: Connection, name: str, wait_s: float) -> None:
    """What the file keeps: deleted answers give their space back, and monitoring reads while others write.

    SQLite itself does not wait where two connections switch the journal's mode at once, so it is asked again.

    Raises:
        LogError: the disk cannot hold a write-ahead log.
    """
    driver: Any = connection.connection.driver_connection  # outside of a transaction
    deadline, mode = time.monotonic() + wait_s, None
    driver.execute("PRAGMA auto_vacuum = INCREMENTAL")
    while mode is None:
        try:
            (mode,) = driver.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)
    if mode != "wal":
        raise LogError(
            f"{name}: SQLite keeps its journal as {mode!r} here; expected 'wal', without which readers and "
            "writers shut each other out. Put the file on a local disk, or use PostgreSQL."
        )


def _find_inode(path: str) -> int | None:
    """Inode of a file; None where it is gone or was emptied, as only a -wal may be."""
    try:
        found = os.stat(path)  # noqa: PTH116 - called for every answer
    except FileNotFoundError:
        return None
    return found.st_ino if found.st_size or path.endswith("-wal") else None


def _describe_failure(name: str, doing: str, error: Exception) -> str:
    """One line without SQL and values: they are other people's answers."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    code = getattr(cause, "sqlite_errorname", "")
    advice = next(
        (text for prefix, text in _ADVICE.items() if code.startswith(prefix)), "Check the database."
    )
    if isinstance(cause, PoolTimeout):
        words, advice = "other threads kept it busy", _BUSY
    elif isinstance(cause, OSError):
        words, advice = cause.strerror or str(cause), "Check the path, its permissions and the disk."
    else:
        words = (str(cause).strip() or type(cause).__name__).splitlines()[0]
    return f"{name}: cannot {doing} the prediction log: {words}. {advice}"

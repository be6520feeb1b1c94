"""The database of the prediction log: one connection, opened at first use, with a time limit on every wait.

A service must start and answer while its log is locked or gone. Nothing is opened before the first use, and
after a failure the next use opens anew. SQLite itself goes on writing, without an error, to a file that was
deleted or overwritten: this is looked for at every use.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from serving.log.schema import is_current, upgrade
from serving.log.url import is_sqlite, parse_url
from vision.base.errors import LogError

_CONNECT_SECONDS = 2  # libpq counts whole seconds and treats 1 as 2
_RETRY_SECONDS = 0.005
_READ_SECONDS = 5.0  # readers share one connection; writers have another
_MAGIC = b"SQLite format 3\0"

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
        self._watched: tuple[int, int] | None = None  # inode of the SQLite file, descriptor to read it by
        self._overwritten = False  # and not checked since
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
            poolclass=QueuePool,
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
        """The same database by a connection of its own: a long read keeps no answer from being written.

        It is kept as long as this one: to close the file in between would drop SQLite's locks on it.
        """
        url = self._engine.url.render_as_string(hide_password=False)
        return LogDatabase(url, max(self._wait_s, _READ_SECONDS), create=False)

    def close(self) -> None:
        """Close the connection; the next use opens anew."""
        if "reader" in self.__dict__:
            self.reader.close()
        self._engine.dispose()
        self._watch(None)

    @contextmanager
    def transaction(self, *, writes: bool) -> Iterator[Connection]:
        """A connection in a transaction, committed when the block ends well.

        If it `writes`, it holds SQLite's write lock from its beginning.

        Raises:
            LogError: the database cannot be opened, locked in time, read or written.
        """
        with self._connected("write" if writes else "read") as connection:
            connection.execution_options(writes=writes)
            with connection.begin():
                yield connection
            if writes and self._identify_files() != connection.info["files"]:
                raise LogError(
                    f"{self.name} was deleted or exchanged while it was written to; what was written is "
                    "lost. The next use opens the file anew."
                )

    def empty_wal(self) -> None:
        """Move SQLite's write-ahead log into the file, so that nothing that was deleted is left in it.

        Raises:
            LogError: the database cannot be opened or written.
        """
        if self._path is not None:
            with self._connected("write") as connection:
                driver = connection.connection.cursor()
                driver.execute("PRAGMA wal_checkpoint(PASSIVE)")  # most of it, without the write lock
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                driver.close()

    @contextmanager
    def _connected(self, doing: str) -> Iterator[Connection]:
        """The connection to an up-to-date database, for one thread at a time; closed after what fails."""
        try:
            with self._engine.connect() as connection:
                try:
                    if "files" not in connection.info:
                        self._bring_up_to_date(connection)
                        connection.info["files"] = self._identify_files()
                        self._check_overwritten(connection)
                    yield connection
                except BaseException:
                    connection.invalidate()
                    raise
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise LogError(_describe_failure(self.name, doing, error)) from error

    def _bring_up_to_date(self, connection: Connection) -> None:
        """Migrate where needed; a database that is not ours is not touched."""
        connection.execution_options(writes=False)
        with connection.begin():
            if is_current(connection, self.name):
                return
        if self._path is not None:
            _prepare_file(connection, self.name, self._wait_s)
        connection.execution_options(writes=True)
        upgrade(connection)

    def _check_overwritten(self, connection: Connection) -> None:
        """Refuse a file that was overwritten, unless SQLite has put it right from the write-ahead log."""
        if self._overwritten:
            connection.execution_options(writes=False)
            with connection.begin():
                found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
            if found != "ok":
                raise LogError(f"{self.name}: the file was written over, and is damaged. {_DAMAGED}")
            self._overwritten = False

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
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))

    def _refuse_other_files(self, _connection: Any, record: Any, _proxy: Any) -> None:
        """Have the pool open a connection anew if its files are gone or others lie there."""
        known = record.info.get("files")
        if known is not None and known != self._identify_files():
            raise DisconnectionError

    def _identify_files(self) -> tuple[int | None, ...]:
        """Inodes of the SQLite file, its -wal and its -shm, which last as long as a connection is open.

        An open file keeps its inode from being given again, so a file that was made anew has another. That of
        a file that was overwritten, and does not begin as SQLite files do, is given as None.
        """
        if self._path is None:
            return ()
        file, *beside = (_find_inode(f"{self._path}{suffix}") for suffix in ("", "-wal", "-shm"))
        self._watch(file)
        if self._watched is not None and os.pread(self._watched[1], len(_MAGIC), 0) != _MAGIC:
            self._overwritten, file = True, None
        return file, *beside

    def _watch(self, inode: int | None) -> None:
        """Keep the SQLite file open for reading: to close it would drop the locks that SQLite holds on it."""
        if self._watched is not None and self._watched[0] != inode:
            os.close(self._watched[1])
            self._watched = None
        if self._watched is None and inode is not None and self._path is not None:
            self._watched = inode, os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)


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
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options()["writes"] else "BEGIN")


def _prepare_file(connection: Connection, name: str, wait_s: float) -> None:
    """What the file keeps: deleted answers give their space back, and monitoring reads while others write.

    SQLite itself does not wait where two connections switch the journal's mode at once, so it is asked again.

    Raises:
        LogError: the disk cannot hold a write-ahead log.
    """
    driver, deadline, mode = connection.connection.cursor(), time.monotonic() + wait_s, None
    driver.execute("PRAGMA auto_vacuum = INCREMENTAL")
    while mode is None:
        try:
            (mode,) = driver.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)
    driver.close()
    if mode != "wal":
        raise LogError(
            f"{name}: SQLite keeps its journal as {mode!r} here; expected 'wal', without which readers and "
            "writers shut each other out. Put the file on a local disk, or use PostgreSQL."
        )


def _find_inode(path: str) -> int | None:
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - called for every answer
    except FileNotFoundError:
        return None


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

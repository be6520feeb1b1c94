"""The database under the prediction log: opened when first needed, bounded in every wait, mended by itself.

A service must start and answer while its log is locked or gone. So nothing is opened before the first use;
after a failure all connections are closed and the next use opens anew; and a SQLite file that was deleted or
exchanged, or its -wal or -shm, is noticed (SQLite itself goes on writing to the deleted file, silently).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from serving.log_schema import CURRENT_VERSION, migrate, read_version
from serving.log_url import is_sqlite, parse_url
from vision.errors import LogError

_RETRY_SECONDS = 0.005
_CONNECT_SECONDS = 2  # libpq counts whole seconds and treats 1 as 2

_ADVICE = {
    "SQLITE_BUSY": "Another process holds it: wait for that, or find it with fuser.",
    "SQLITE_FULL": "Free some space on the disk; or delete old answers (docs/privacy.md).",
    "SQLITE_READONLY": "Change its permissions, or name a database that can be written.",
    "SQLITE_CANTOPEN": "Check the path and its permissions.",
    "SQLITE_NOTADB": "Move the file away (a new one is made), or name another.",
    "SQLITE_CORRUPT": "The file is damaged. Move it away with its -wal and -shm (a new one is made); "
    "sqlite3 FILE .recover saves what can be read.",
    "SQLITE_CONSTRAINT_UNIQUE": "An answer of this prediction_id is logged already: give each its own.",
    "SQLITE_IOERR": "Check the disk. After a -wal or -shm was deleted, every process must open the log anew.",
}


class LogDatabase:
    """Connections to one SQLite file or PostgreSQL database; threads may share it.

    Attributes:
        name: what errors call it: the path of the file, or the URL without its password.
    """

    def __init__(self, url: str, wait_s: float, *, create: bool = True) -> None:
        """Say which database, without opening it.

        Args:
            url: `sqlite:///state/predictions.sqlite` or `postgresql://user:password@host/database`.
            wait_s: seconds, longest wait for other writers.
            create: make a SQLite file where there is none.

        Raises:
            ConfigError: another kind of URL, or PostgreSQL's driver is not installed.
        """
        self._url = parse_url(url)
        self._path = Path(self._url.database or "").absolute() if is_sqlite(self._url) else None
        self.name = str(self._path or self._url.render_as_string(hide_password=True))
        # A write waits for the threads of this process, then for other processes: half of the time for each.
        self._patience_s = wait_s / 2
        self._create = create
        self._turn = threading.Lock()
        self._engine: Engine | None = None
        self._files: tuple[int | None, ...] = ()
        self._failed = False

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection in a transaction that sees one state of the database.

        Raises:
            LogError: the database cannot be opened or read.
        """
        with self._failures("read"):
            with self._taking_turn():
                engine = self._open()
            with engine.connect() as connection, connection.begin():
                yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection in a transaction that holds the write lock; committed when the block ends well.

        Threads of one process take turns here, because SQLite's own waiting is by sleeping and unfair.

        Raises:
            LogError: the database cannot be opened, locked in time, or written.
        """
        with self._failures("write"), self._taking_turn():
            engine = self._open()
            with engine.connect().execution_options(writes=True) as connection, connection.begin():
                yield connection
            self._require_same_files()

    def reclaim_space(self, num_pages: int = 1000) -> None:
        """Give the space of deleted rows back to the disk, a few pages at a time so that writers get through.

        PostgreSQL does this by itself (autovacuum) and keeps the space for later answers.

        Raises:
            LogError: the database cannot be opened, locked in time, or written.
        """
        if self._path is None:
            return
        with self._failures("write"):
            with self._taking_turn():
                engine = self._open()
            with _raw_connection(engine) as connection:
                before, free = -1, _count_free_pages(connection)
                while free not in (0, before):
                    # executescript because execute stops after the first page
                    connection.executescript(f"PRAGMA incremental_vacuum({num_pages})")
                    before, free = free, _count_free_pages(connection)
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close all connections; the next use opens anew."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()

    @contextlib.contextmanager
    def _taking_turn(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=self._patience_s):
            raise LogError(
                f"{self.name}: other threads kept the prediction log busy for {self._patience_s:g} s. "
                "Another process may hold it: wait for that, or find it with fuser."
            )
        try:
            yield
        finally:
            self._turn.release()

    @contextlib.contextmanager
    def _failures(self, doing: str) -> Iterator[None]:
        """Turn what the database or the disk raises into a LogError, and have the next use open anew."""
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            self._failed = True
            raise LogError(_describe_failure(self.name, doing, error)) from error

    def _open(self) -> Engine:
        """The engine of an up-to-date database. The caller has the turn."""
        if self._failed or (self._engine is not None and self._identify_files() != self._files):
            self.close()
            self._failed = False
        if self._engine is None:
            self._make_file()
            engine = self._make_engine()
            try:
                self._bring_up_to_date(engine)
            except BaseException:
                engine.dispose()
                raise
            self._engine, self._files = engine, self._identify_files()
        return self._engine

    def _bring_up_to_date(self, engine: Engine) -> None:
        """Migrate where needed; a database that is not ours is not touched."""
        with engine.connect() as connection, connection.begin():
            version = read_version(connection, self.name)
        if version == CURRENT_VERSION:
            return
        if self._path is not None:
            _prepare_sqlite(engine, self.name, self._patience_s)
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            migrate(connection, self.name)

    def _identify_files(self) -> tuple[int | None, ...]:
        """Inodes of the SQLite file, its -wal and its -shm, which last as long as a connection is open.

        An open file keeps its inode from being given again, so a file that was made anew has another.
        """
        if self._path is None:
            return ()
        return tuple(_find_inode(f"{self._path}{suffix}") for suffix in ("", "-wal", "-shm"))

    def _require_same_files(self) -> None:
        """After the commit: what went into a file that nobody can open any more is lost."""
        if self._identify_files() != self._files:
            raise LogError(
                f"{self.name} was deleted or exchanged while it was written to; what was written is lost. "
                "The next use opens the file anew."
            )

    def _make_file(self) -> None:
        """An empty SQLite file that only its owner can read; its -wal and -shm get the same mode."""
        if self._path is None or self._path.exists():
            return
        if not self._create:
            raise LogError(
                f"{self.name}: there is no prediction log; expected one that a service has written. Start "
                "the service, or name the database that it writes."
            )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # another worker was first
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))

    def _make_engine(self) -> Engine:
        if self._path is None:
            return _make_postgresql_engine(self._url, self._patience_s)
        url = URL.create("sqlite", database=str(self._path))
        engine = create_engine(url, hide_parameters=True, connect_args={"timeout": self._patience_s})
        event.listen(engine, "connect", _set_up_connection)
        event.listen(engine, "begin", _begin_sqlite)
        return engine


# --- SQLite ---------------------------------------------------------------------------------------------


def _set_up_connection(connection: sqlite3.Connection, _: Any) -> None:
    """Settings that SQLite does not keep in the file.

    `synchronous=NORMAL`: in WAL mode the file stays whole whatever happens, and an answer outlasts the death
    of the process. Only a power cut may lose the last answers. They are evidence for monitoring, not
    accounts; FULL would make every answer wait for the disk.

    `secure_delete`: what is deleted for a person's sake is overwritten, not only unlinked.
    """
    connection.isolation_level = None  # transactions begin in _begin_sqlite, and nowhere else
    for pragma in ("synchronous = NORMAL", "foreign_keys = ON", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """Writers take the lock at once: a reader that becomes a writer could fail without waiting."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_sqlite(engine: Engine, name: str, patience_s: float) -> None:
    """What the file keeps, and what must come before its first table.

    `auto_vacuum=INCREMENTAL`: deleted answers give their space back without the whole file being rewritten.
    `journal_mode=WAL`: monitoring reads while the service writes.

    Raises:
        LogError: the disk cannot hold a write-ahead log.
    """
    with _raw_connection(engine) as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        mode = _switch_to_wal(connection, patience_s)
    if mode != "wal":
        raise LogError(
            f"{name}: SQLite keeps its journal as {mode!r} here; expected 'wal', without which readers and "
            "writers shut each other out. Put the file on a local disk, or use PostgreSQL."
        )


def _switch_to_wal(connection: sqlite3.Connection, patience_s: float) -> str:
    """The journal mode after the switch; SQLite itself does not wait where two connections switch at once."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(_RETRY_SECONDS)


@contextlib.contextmanager
def _raw_connection(engine: Engine) -> Iterator[sqlite3.Connection]:
    """The driver's own connection, outside any transaction."""
    with contextlib.closing(engine.raw_connection()) as pooled:
        yield cast("sqlite3.Connection", pooled.driver_connection)


def _find_inode(path: str) -> int | None:
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - called for every answer
    except FileNotFoundError:
        return None


def _count_free_pages(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA freelist_count").fetchone()[0])


# --- PostgreSQL -----------------------------------------------------------------------------------------


def _make_postgresql_engine(url: URL, patience_s: float) -> Engine:
    milliseconds = max(1, round(patience_s * 1000))
    return create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,  # a server that was restarted costs no answer
        pool_timeout=patience_s,
        connect_args={
            "connect_timeout": _CONNECT_SECONDS,
            "tcp_user_timeout": _CONNECT_SECONDS * 1000,
            "options": f"-c lock_timeout={milliseconds}",
        },
    )


# --- words ----------------------------------------------------------------------------------------------


def _describe_failure(name: str, doing: str, error: Exception) -> str:
    """One line without SQL and values: they are other people's answers."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    code = getattr(cause, "sqlite_errorname", "")
    advice = next((text for prefix, text in _ADVICE.items() if code.startswith(prefix)), "")
    if isinstance(cause, OSError):
        words, advice = cause.strerror or str(cause), "Check the path, its permissions and the disk."
    else:
        words = (str(cause).strip() or type(cause).__name__).splitlines()[0]
    return f"{name}: cannot {doing} the prediction log: {words}. {advice or 'Check the database.'}"

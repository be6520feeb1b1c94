"""The database under the prediction log: opened when first needed, bounded in every wait, mended by itself.

A service must start and answer while its log is locked or gone. So nothing is opened before the first use;
after a failure all connections are closed and the next use opens anew; and a SQLite file that was deleted or
exchanged, or its -wal or -shm, is noticed (SQLite itself goes on writing to the deleted file, silently).
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from serving.log.schema import CURRENT_VERSION, migrate, read_version
from serving.log.sqlite import (
    identify_files,
    make_file,
    make_sqlite_engine,
    prepare_file,
    reclaim_space,
)
from serving.log.url import is_sqlite, parse_url
from vision.base.errors import LogError

_CONNECT_SECONDS = 2  # libpq counts whole seconds and treats 1 as 2

_ADVICE = {
    "SQLITE_BUSY": "Another process holds it: wait for that, or find it with fuser.",
    "SQLITE_FULL": "Free some space on the disk first; deleting old answers (docs/privacy.md) needs it too.",
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
            wait_s: seconds, longest wait for other threads and processes together.
            create: make a SQLite file where there is none.

        Raises:
            ConfigError: another kind of URL, or PostgreSQL's driver is not installed.
        """
        self._url = parse_url(url)
        self._path = Path(self._url.database or "").absolute() if is_sqlite(self._url) else None
        self.name = str(self._path or self._url.render_as_string(hide_password=True))
        self._wait_s = wait_s
        self._create = create
        self._turn = threading.Lock()
        self._engine: Engine | None = None
        self._writer: Connection | None = None
        self._files: tuple[int | None, ...] = ()
        self._failed = False

    def exists(self) -> bool:
        """Whether there is a SQLite file; of a PostgreSQL server this is only known by asking it: True."""
        return self._path is None or self._path.exists()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection in a transaction that sees one state of the database.

        Raises:
            LogError: the database cannot be opened or read.
        """
        deadline = time.monotonic() + self._wait_s
        with self._failures("read"):
            with self._taking_turn():
                engine = self._open()
            options = {"deadline": deadline}
            with engine.connect().execution_options(**options) as connection, connection.begin():
                yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection in a transaction that holds the write lock; committed when the block ends well.

        Threads of one process take turns here, because SQLite's own waiting is by sleeping and unfair.

        Raises:
            LogError: the database cannot be opened, locked in time, or written.
        """
        deadline = time.monotonic() + self._wait_s
        with self._failures("write"), self._taking_turn():
            with self._connect_to_write(self._open()) as connection:
                connection.execution_options(writes=True, deadline=deadline)
                with connection.begin():
                    yield connection
            self._require_same_files()

    def reclaim_space(self) -> None:
        """Give the space of deleted rows back to the disk.

        PostgreSQL does this by itself (autovacuum) and keeps the space for later answers.

        Raises:
            LogError: the database cannot be opened, locked in time, or written.
        """
        if self._path is None:
            return
        with self._failures("write"):
            with self._taking_turn():
                engine = self._open()
            reclaim_space(engine, self._wait_s)

    def close(self) -> None:
        """Close all connections, after the write that is going on; the next use opens anew.

        Raises:
            LogError: other threads went on writing.
        """
        with self._taking_turn():
            self._drop()

    def _drop(self) -> None:
        """Close all connections. The caller has the turn."""
        writer, self._writer = self._writer, None
        engine, self._engine = self._engine, None
        if writer is not None:
            writer.close()
        if engine is not None:
            engine.dispose()

    @contextlib.contextmanager
    def _connect_to_write(self, engine: Engine) -> Iterator[Connection]:
        """A connection for who has the turn.

        Of a SQLite file it is one and the same until the file is opened anew: to take one out of the pool and
        to put it back costs as much as to write. A server may have been restarted since the last write.
        """
        if self._path is None:
            with engine.connect() as connection:
                yield connection
            return
        if self._writer is None:
            self._writer = engine.connect()
        try:
            yield self._writer
        except BaseException:  # whatever it was, the connection may be in a transaction that nobody ends
            self._drop()
            raise

    @contextlib.contextmanager
    def _taking_turn(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=self._wait_s):
            raise LogError(
                f"{self.name}: other threads kept the prediction log busy for {self._wait_s:g} s. "
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
            self._drop()
            self._failed = False
        if self._engine is None:
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
            prepare_file(engine, self.name, self._wait_s)
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            migrate(connection, self.name)

    def _require_same_files(self) -> None:
        """After the commit: what went into a file that nobody can open any more is lost."""
        if self._identify_files() != self._files:
            raise LogError(
                f"{self.name} was deleted or exchanged while it was written to; what was written is lost. "
                "The next use opens the file anew."
            )

    def _make_engine(self) -> Engine:
        if self._path is None:
            return _make_postgresql_engine(self._url, self._wait_s)
        if not self._path.exists():
            if not self._create:
                raise LogError(
                    f"{self.name}: there is no prediction log; expected one that a service has written. "
                    "Start the service, or name the database that it writes."
                )
            make_file(self._path)
        return make_sqlite_engine(self._path, self._wait_s)

    def _identify_files(self) -> tuple[int | None, ...]:
        return () if self._path is None else identify_files(self._path)


# --- PostgreSQL -----------------------------------------------------------------------------------------


def _make_postgresql_engine(url: URL, wait_s: float) -> Engine:
    milliseconds = max(1, round(wait_s * 1000))
    return create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,  # a server that was restarted costs no answer
        pool_timeout=wait_s,
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

"""The database under the prediction log: one connection, opened when first needed, bounded in every wait.

A service must start and answer while its log is locked or gone. Nothing is opened before the first use, and
after a failure the next use opens anew. SQLite itself goes on writing, without an error, to a file that was
deleted or overwritten: this is looked for at every use.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from serving.log.schema import is_current, upgrade
from serving.log.url import is_sqlite, parse_url
from vision.base.errors import LogError

_T = TypeVar("_T")

_CONNECT_SECONDS = 2  # libpq counts whole seconds and treats 1 as 2
_PROBE_SECONDS = 1.0
_RETRY_SECONDS = 0.005

_DAMAGED = (
    "The file is damaged. Move it away with its -wal and -shm (a new one is made); sqlite3 FILE .recover "
    "saves what can be read."
)
_ADVICE = {
    "SQLITE_BUSY": "Another process holds it: wait for that, or find it with fuser.",
    "SQLITE_FULL": "Free some space on the disk first; deleting old answers (docs/privacy.md) needs it too.",
    "SQLITE_READONLY": "Change its permissions, or name a database that can be written.",
    "SQLITE_CANTOPEN": "Check the path and its permissions.",
    "SQLITE_NOTADB": "Move the file away with its -wal and -shm (a new one is made), or name another.",
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_INTERRUPT": f"The file was overwritten, and is too large to be checked in time. {_DAMAGED}",
    "SQLITE_CONSTRAINT_UNIQUE": "An answer of this prediction_id is logged already: give each its own.",
    "SQLITE_IOERR": "Check the disk. After a -wal or -shm was deleted, every process must open the log anew.",
}


class LogDatabase:
    """One SQLite file or PostgreSQL database; threads may share it and take turns.

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
        if self._path is not None:
            self._url = self._url.set(database=str(self._path))
        self.name = str(self._path or self._url.render_as_string(hide_password=True))
        self._wait_s = wait_s
        self._create = create
        self._turn = threading.Lock()
        self._engine: Engine | None = None
        self._connection: Connection | None = None
        self._files: tuple[int | None, ...] = ()
        self._probed_at = float("-inf")
        self._overwritten = False

    def exists(self) -> bool:
        """Whether there is a SQLite file; of a PostgreSQL server this is only known by asking it: True."""
        return self._path is None or self._path.exists()

    @contextlib.contextmanager
    def transaction(self, *, writes: bool) -> Iterator[Connection]:
        """A connection in a transaction, committed when the block ends well.

        If it `writes`, it holds SQLite's write lock from its beginning.

        Raises:
            LogError: the database cannot be opened, locked in time, read or written.
        """
        deadline = time.monotonic() + self._wait_s
        with self._turn_taken("write" if writes else "read") as connection:
            connection.execution_options(writes=writes, deadline=deadline)
            with connection.begin():
                yield connection
            if self._path is None:
                connection.close()  # back into the pool, which tries it before the next use
            elif writes and self._identify_files() != self._files:
                raise LogError(
                    f"{self.name} was deleted or exchanged while it was written to; what was written is "
                    "lost. The next use opens the file anew."
                )

    def empty_wal(self) -> None:
        """Move SQLite's write-ahead log into the file, so that nothing that was deleted is left in it.

        Raises:
            LogError: the database cannot be opened or written.
        """
        if self._path is None:
            return
        with self._turn_taken("write") as connection:
            driver = get_driver(connection)
            driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()  # most of it, without the write lock
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close the connection, after the use that is going on; the next use opens anew."""
        with self._turn:
            self._drop()

    @contextlib.contextmanager
    def _turn_taken(self, doing: str) -> Iterator[Connection]:
        """The open connection, for one thread at a time; closed again after whatever fails."""
        if not self._turn.acquire(timeout=self._wait_s):
            raise LogError(
                f"{self.name}: other threads kept the prediction log busy for {self._wait_s:g} s. "
                "Another process may hold it: wait for that, or find it with fuser."
            )
        try:
            yield self._open()
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            self._drop()
            raise LogError(_describe_failure(self.name, doing, error)) from error
        except BaseException:  # the connection may be in a transaction that nobody ends
            self._drop()
            raise
        finally:
            self._turn.release()

    def _drop(self) -> None:
        """Close the connection. The caller has the turn."""
        connection, self._connection = self._connection, None
        engine, self._engine = self._engine, None
        if connection is not None:
            with contextlib.suppress(SQLAlchemyError):  # it is broken already, and what broke it is told
                connection.close()
        if engine is not None:
            engine.dispose()

    def _open(self) -> Connection:
        """The connection to a whole and up-to-date database. The caller has the turn."""
        if self._engine is not None and self._identify_files() != self._files:
            self._drop()
        if self._engine is None:
            self._engine = self._make_engine()
            self._connection = self._engine.connect()
            self._bring_up_to_date(self._connection)
            self._files = self._identify_files()
        if self._connection is None or self._connection.closed:
            self._connection = self._engine.connect()
        if self._path is not None:
            self._require_sound_file(get_driver(self._connection), self._path)
        return self._connection

    def _make_engine(self) -> Engine:
        if self._path is not None and not self._path.exists():
            if not self._create:
                raise LogError(
                    f"{self.name}: there is no prediction log; expected one that a service has written. "
                    "Start the service, or name the database that it writes."
                )
            _make_file(self._path)
        return _make_engine(self._url, self._wait_s)

    def _bring_up_to_date(self, connection: Connection) -> None:
        """Migrate where needed; a database that is not ours is not touched."""
        connection.execution_options(writes=False)
        with connection.begin():
            if is_current(connection, self.name):
                return
        if self._path is not None:
            _prepare_file(get_driver(connection), self.name, self._wait_s)
        connection.execution_options(writes=True)
        upgrade(connection)

    def _identify_files(self) -> tuple[int | None, ...]:
        """Inodes of the SQLite file, its -wal and its -shm, which last as long as a connection is open.

        An open file keeps its inode from being given again, so a file that was made anew has another.
        """
        if self._path is None:
            return ()
        return tuple(_find_inode(f"{self._path}{suffix}") for suffix in ("", "-wal", "-shm"))

    def _require_sound_file(self, driver: sqlite3.Connection, path: Path) -> None:
        """Once in a second: what was overwritten is not a database any more, whatever SQLite remembers of it.

        A connection that believes the file immutable reads it past the write-ahead log. While a checkpoint
        writes, the file may look too short for a moment. What was no database may be one again when SQLite
        has written its pages back; so it is checked whole, or refused if `wait_s` is too short for that.
        """
        if time.monotonic() < self._probed_at + _PROBE_SECONDS:
            return
        try:
            _retry(lambda: _read_head(path), sqlite3.SQLITE_CORRUPT, self._wait_s)
        except sqlite3.DatabaseError as error:
            self._overwritten |= error.sqlite_errorcode == sqlite3.SQLITE_NOTADB
            raise
        if self._overwritten:
            _check_whole(driver, self.name, self._wait_s)
            self._overwritten = False
        self._probed_at = time.monotonic()


def get_driver(connection: Connection) -> sqlite3.Connection:
    """The connection of SQLite's driver itself."""
    return cast("sqlite3.Connection", connection.connection.driver_connection)


def reclaim_pages(connection: Connection) -> None:
    """Give the pages of deleted rows back to the disk; PostgreSQL does this by itself (autovacuum)."""
    if connection.dialect.name == "sqlite":
        driver = get_driver(connection)
        for _ in range(driver.execute("PRAGMA freelist_count").fetchone()[0]):
            driver.execute("PRAGMA incremental_vacuum(1)").fetchall()  # the driver stops after each page


# --- SQLite and PostgreSQL ------------------------------------------------------------------------------


def _make_engine(url: URL, wait_s: float) -> Engine:
    if is_sqlite(url):
        engine = create_engine(url, hide_parameters=True, connect_args={"timeout": wait_s})
        event.listen(engine, "connect", _set_up_connection)
        event.listen(engine, "begin", _begin)
        return engine
    return create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,  # a server that was restarted costs no answer
        connect_args={
            "connect_timeout": _CONNECT_SECONDS,
            "tcp_user_timeout": _CONNECT_SECONDS * 1000,
            "options": f"-c lock_timeout={max(1, round(wait_s * 1000))}",
        },
    )


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
    options = connection.get_execution_options()
    driver = get_driver(connection)
    if "deadline" in options:
        left_ms = max(0, round((options["deadline"] - time.monotonic()) * 1000))
        driver.execute(f"PRAGMA busy_timeout = {left_ms}")
    driver.execute("BEGIN IMMEDIATE" if options["writes"] else "BEGIN")


def _make_file(path: Path) -> None:
    """An empty file that only its owner can read; SQLite gives the -wal and -shm beside it the same mode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):  # another worker was first
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _prepare_file(driver: sqlite3.Connection, name: str, wait_s: float) -> None:
    """What the file keeps: deleted answers give their space back, and monitoring reads while others write.

    SQLite itself does not wait where two connections switch the journal's mode at once.

    Raises:
        LogError: the disk cannot hold a write-ahead log.
    """
    driver.execute("PRAGMA auto_vacuum = INCREMENTAL")
    switch = "PRAGMA journal_mode = WAL"
    mode = _retry(lambda: driver.execute(switch).fetchone()[0], sqlite3.SQLITE_BUSY, wait_s)
    if mode != "wal":
        raise LogError(
            f"{name}: SQLite keeps its journal as {mode!r} here; expected 'wal', without which readers and "
            "writers shut each other out. Put the file on a local disk, or use PostgreSQL."
        )


def _read_head(path: Path) -> None:
    """Raises sqlite3.DatabaseError if the file itself is no database or shorter than it says."""
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        connection.execute("SELECT 1 FROM sqlite_schema").fetchone()


def _check_whole(driver: sqlite3.Connection, name: str, wait_s: float) -> None:
    """Look at every page, for at most `wait_s` seconds.

    Raises:
        LogError: a page is damaged.
        sqlite3.OperationalError: it takes longer.
    """
    deadline = time.monotonic() + wait_s
    driver.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
    try:
        found = driver.execute("PRAGMA quick_check(1)").fetchone()[0]
    finally:
        driver.set_progress_handler(None, 0)
    if found != "ok":
        raise LogError(f"{name}: the file was overwritten, and its pages do not fit each other. {_DAMAGED}")


def _retry(call: Callable[[], _T], code: int, wait_s: float) -> _T:
    """What `call` gives; it is called again for `wait_s` seconds while SQLite refuses it with `code`."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return call()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode != code or time.monotonic() > deadline:
                raise
        time.sleep(_RETRY_SECONDS)


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
    if isinstance(cause, OSError):
        words, advice = cause.strerror or str(cause), "Check the path, its permissions and the disk."
    else:
        words = (str(cause).strip() or type(cause).__name__).splitlines()[0]
    return f"{name}: cannot {doing} the prediction log: {words}. {advice}"

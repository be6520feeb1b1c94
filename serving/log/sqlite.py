"""What SQLite needs to be a log that several processes write: settings, files that may vanish, space."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event

from vision.base.errors import LogError

_RETRY_SECONDS = 0.005
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.01, 1.0


def make_sqlite_engine(path: Path, wait_s: float) -> Engine:
    """Connections to a file that is there, which wait for other processes for at most `wait_s` seconds.

    Execution options of a connection: `writes` takes the write lock when its transaction begins; `deadline`
    (seconds of `time.monotonic`) makes the wait end earlier.
    """
    url = URL.create("sqlite", database=str(path))
    engine = create_engine(url, hide_parameters=True, pool_timeout=wait_s, connect_args={"timeout": wait_s})
    event.listen(engine, "connect", _set_up_connection)
    event.listen(engine, "begin", _begin)
    return engine


def make_file(path: Path) -> None:
    """An empty file that only its owner can read, with the folders above it: to SQLite a new database.

    SQLite gives the -wal and -shm beside it the same mode.

    Raises:
        OSError: the file or a folder cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):  # another worker was first
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def prepare_file(engine: Engine, name: str, wait_s: float) -> None:
    """What the file keeps, and what must come before its first table.

    `auto_vacuum=INCREMENTAL`: deleted answers give their space back without the whole file being rewritten.
    `journal_mode=WAL`: monitoring reads while the service writes.

    Raises:
        LogError: the disk cannot hold a write-ahead log.
    """
    with _raw_connection(engine) as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        mode = _switch_to_wal(connection, wait_s)
    if mode != "wal":
        raise LogError(
            f"{name}: SQLite keeps its journal as {mode!r} here; expected 'wal', without which readers and "
            "writers shut each other out. Put the file on a local disk, or use PostgreSQL."
        )


def identify_files(path: Path) -> tuple[int | None, ...]:
    """Inodes of the file, its -wal and its -shm, which last as long as a connection is open.

    An open file keeps its inode from being given again, so a file that was made anew has another.
    """
    return tuple(_find_inode(f"{path}{suffix}") for suffix in ("", "-wal", "-shm"))


def pause_after(seconds: float) -> float:
    """Seconds for which who held the write lock leaves it to others before taking it again.

    SQLite's waiting is by sleeping, up to 0.1 s at a time: in a pause of twice the work a waiter wakes up.
    """
    return min(max(2 * seconds, _SHORTEST_PAUSE), _LONGEST_PAUSE)


def reclaim_space(engine: Engine, wait_s: float, num_pages: int = 250) -> None:
    """Give the space of deleted rows back to the disk, `num_pages` at a time so that writers get through.

    Raises:
        sqlite3.OperationalError: another process held the lock for `wait_s` seconds.
    """
    with _raw_connection(engine) as connection:
        connection.execute(f"PRAGMA busy_timeout = {round(wait_s * 1000)}")
        before, free = -1, _count_free_pages(connection)
        while free not in (0, before):
            # executescript because execute stops after the first page
            started = time.monotonic()
            connection.executescript(f"PRAGMA incremental_vacuum({num_pages})")
            time.sleep(pause_after(time.monotonic() - started))
            before, free = free, _count_free_pages(connection)
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()  # most of it, without the write lock
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


@contextlib.contextmanager
def _raw_connection(engine: Engine) -> Iterator[sqlite3.Connection]:
    """The driver's own connection, outside any transaction."""
    with contextlib.closing(engine.raw_connection()) as pooled:
        yield cast("sqlite3.Connection", pooled.driver_connection)


def _set_up_connection(connection: sqlite3.Connection, _: Any) -> None:
    """Settings that SQLite does not keep in the file.

    `synchronous=NORMAL`: in WAL mode the file stays whole whatever happens, and an answer outlasts the death
    of the process. Only a power cut may lose the last answers. They are evidence for monitoring, not
    accounts; FULL would make every answer wait for the disk.

    `secure_delete`: what is deleted for a person's sake is overwritten, not only unlinked.
    """
    connection.isolation_level = None  # transactions begin in _begin, and nowhere else
    for pragma in ("synchronous = NORMAL", "foreign_keys = ON", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    """Writers take the lock at once: a reader that becomes a writer could fail without waiting.

    The driver is asked directly: SQLAlchemy's results of what gives none took a tenth of the time of a write.
    """
    options = connection.get_execution_options()
    driver = cast("sqlite3.Connection", connection.connection.driver_connection)
    if "deadline" in options:
        left_ms = max(0, round((options["deadline"] - time.monotonic()) * 1000))
        driver.execute(f"PRAGMA busy_timeout = {left_ms}")
    driver.execute("BEGIN IMMEDIATE" if options.get("writes", False) else "BEGIN")


def _switch_to_wal(connection: sqlite3.Connection, wait_s: float) -> str:
    """The journal mode after the switch; SQLite itself does not wait where two connections switch at once."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(_RETRY_SECONDS)


def _find_inode(path: str) -> int | None:
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - called for every answer
    except FileNotFoundError:
        return None


def _count_free_pages(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA freelist_count").fetchone()[0])

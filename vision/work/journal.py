"""Results of finished chunks on disk, so that a run that was killed goes on where it was.

SQLite keeps them: a result is there whole or not at all, whenever the process ends.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vision.base.errors import StorageError
from vision.base.files import storage_errors

JOURNAL_NAME = "unfinished.sqlite"

logger = logging.getLogger(__name__)


class Journal:
    """Bytes by key in a file of its own; `remove` it when the work is done."""

    def __init__(self, path: Path) -> None:
        """Open the file, with what an earlier attempt left there; one that is damaged is begun anew.

        Raises:
            StorageError: it cannot be written or read; what it holds stays.
        """
        self.path = path
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with _database_errors(path):
            try:
                self._db = _connect(path)
            except sqlite3.OperationalError:  # it is locked, or the disk is full: what it holds may be whole
                raise
            except sqlite3.DatabaseError as error:
                logger.warning("%s: %s; finished chunks of an earlier attempt are done again.", path, error)
                _remove(path)
                self._db = _connect(path)

    def find(self, key: str) -> bytes | None:
        """What was added under a key, by this attempt or an earlier one."""
        with _database_errors(self.path):
            row = self._db.execute("SELECT content FROM chunks WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def keys(self) -> set[str]:
        """All keys under which something was added."""
        with _database_errors(self.path):
            return {key for (key,) in self._db.execute("SELECT key FROM chunks")}

    def add(self, key: str, content: bytes) -> None:
        """Keep what a chunk came to.

        Raises:
            StorageError: it cannot be written.
        """
        with _database_errors(self.path):
            self._db.execute("INSERT OR REPLACE INTO chunks VALUES (?, ?)", (key, content))

    def close(self) -> None:
        """Close the file; another attempt may open it."""
        self._db.close()

    def remove(self) -> None:
        """Close and delete the file."""
        self.close()
        _remove(self.path)


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("CREATE TABLE IF NOT EXISTS chunks (key TEXT PRIMARY KEY, content BLOB NOT NULL)")
        if (found := database.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(found)
    except sqlite3.Error:
        database.close()
        raise
    return database


def _remove(path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        with storage_errors(path, "remove"):
            path.with_name(path.name + ending).unlink(missing_ok=True)


@contextmanager
def _database_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(
            f"{path}: cannot be written or read: {error}. Expected a folder on a local disk with space left. "
            "Free some, for example with: python run.py clean --keep 3"
        ) from error

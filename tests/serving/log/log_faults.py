"""Ways in which the prediction log's database fails, as other programs and people bring them about."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.pool import Pool

Fault = Callable[[Path], AbstractContextManager[None]]
"""Breaks the database in a file as long as its block lasts."""


@contextlib.contextmanager
def held(path: Path, *statements: str) -> Iterator[None]:
    """A second connection that holds the database."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as holder:
        for statement in statements:
            holder.execute(statement).fetchall()
        yield
        holder.rollback()


@contextlib.contextmanager
def every_new_connection_runs(statement: str) -> Iterator[None]:
    """Connections that are made meanwhile begin with a statement."""

    def run(connection: sqlite3.Connection, _: Any) -> None:
        connection.execute(statement).fetchall()

    event.listen(Pool, "connect", run)
    try:
        yield
    finally:
        event.remove(Pool, "connect", run)


def locked(path: Path) -> AbstractContextManager[None]:
    """Another program writes and does not end."""
    return held(path, "BEGIN EXCLUSIVE")


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[None]:
    """Another file lies in its place."""
    other = path.with_name("notes.txt")
    other.write_bytes(b"something else " * 1000)
    other.replace(path)
    yield
    path.unlink()


@contextlib.contextmanager
def folder_gone(path: Path) -> Iterator[None]:
    """Its folder is gone and cannot be made, because a file has its name."""
    shutil.rmtree(path.parent)
    path.parent.write_text("in the way")
    yield
    path.parent.unlink()


def read_only(_path: Path) -> AbstractContextManager[None]:
    """New connections may not write; a mode of the file would not bind root."""
    return every_new_connection_runs("PRAGMA query_only = ON")

"""One run at a time in a project: the kernel frees the lock when the process that holds it ends.

`flock` itself: the file that is locked also says who holds it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path

from vision.base.errors import RunLockedError
from vision.base.files import storage_errors


@dataclass(frozen=True)
class LockHolder:
    """Who holds the lock: process id, run name, UTC time in ISO 8601 to the second."""

    pid: int
    run_name: str
    since: str


@contextmanager
def RunLock(path: Path, run_name: str) -> Iterator[None]:  # noqa: N802  reads as the thing that is held
    """Hold the lock file `path` for the block, and write into it who does.

    Raises:
        RunLockedError: another process holds it; says which run, since when, and its process id.
        StorageError: the lock file cannot be opened for writing.
    """
    with storage_errors(path, "take the run lock in"):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunLockedError(_describe_refusal(path, run_name)) from error
        holder = LockHolder(os.getpid(), run_name, datetime.now(UTC).isoformat(timespec="seconds"))
        _write_holder(file, json.dumps(asdict(holder)))
        try:
            yield
        finally:
            _write_holder(file, "")


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock.

    Tried by a shared lock, held for an instant: ask seldom, and first whether anybody is named.
    """
    try:
        with path.open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def read_holder(path: Path) -> LockHolder | None:
    """Who wrote itself into the lock file; None if nobody did, or the file is not readable as such.

    A killed run leaves its name in the file: only `is_held` tells whether it is still running.
    """
    try:
        return LockHolder(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _write_holder(file: TextIOWrapper, text: str) -> None:
    """Name the holder, for whoever is refused. On a full disk nobody is named; the lock holds still."""
    with suppress(OSError):
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), text.encode())  # past the buffer, which would fail again when it is closed


def _describe_refusal(path: Path, run_name: str) -> str:
    holder = read_holder(path)
    if holder is None:
        return (
            f"Run {run_name} cannot start: another process holds {path} and has not named itself. "
            f"Expected one run at a time. Find it with: fuser {path}"
        )
    return (
        f"Run {run_name} cannot start: run {holder.run_name} (process {holder.pid}) has been running since "
        f"{holder.since}. Expected one run at a time in {path.parent}. Wait for it, or stop it with: "
        f"kill {holder.pid}"
    )

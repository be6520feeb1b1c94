"""One run at a time in a project: the lock dies with the process that holds it, however it dies."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Self

from vision.errors import RunLockedError
from vision.files import storage_errors


@dataclass(frozen=True)
class LockHolder:
    """Who holds the lock: process id, run name, UTC time in ISO 8601 to the second."""

    pid: int
    run_name: str
    since: str


class RunLock:
    """Context manager that holds the project's lock by `flock`, which the kernel frees on kill -9.

    Raises:
        RunLockedError: on entering, another process holds it; says which run, since when, and its pid.
        StorageError: on entering, the lock file cannot be written.
    """

    def __init__(self, path: Path, run_name: str) -> None:
        self._path = path
        self._run_name = run_name
        self._file: TextIOWrapper | None = None

    def __enter__(self) -> Self:
        file = _open_lock_file(self._path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise RunLockedError(_describe_refusal(self._path, self._run_name)) from error
        holder = LockHolder(os.getpid(), self._run_name, datetime.now(UTC).isoformat(timespec="seconds"))
        _write_holder(file, json.dumps(asdict(holder)))
        self._file = file
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            _write_holder(self._file, "")
            self._file.close()
            self._file = None


def read_holder(path: Path) -> LockHolder | None:
    """Who wrote itself into the lock file; None if nobody did, or the file is not readable as such.

    A killed run leaves its name in the file: only `flock` tells whether it still goes.
    """
    try:
        return LockHolder(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _open_lock_file(path: Path) -> TextIOWrapper:
    with storage_errors(path, "take the run lock in"):
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+", encoding="utf-8")


def _write_holder(file: TextIOWrapper, text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()


def _describe_refusal(path: Path, run_name: str) -> str:
    holder = read_holder(path)
    if holder is None:
        return (
            f"Run {run_name} cannot start: another process holds {path} and has not named itself. "
            f"Expected one run at a time. Find it with: fuser {path}"
        )
    return (
        f"Run {run_name} cannot start: run {holder.run_name} (process {holder.pid}) is going since "
        f"{holder.since}. Expected one run at a time in {path.parent}. Wait for it, or stop it with: "
        f"kill {holder.pid}"
    )

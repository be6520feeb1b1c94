"""One run at a time in a project: the lock dies with the process that holds it, however it dies."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Self

from vision.base.errors import RunLockedError
from vision.base.files import storage_errors


@dataclass(frozen=True)
class LockHolder:
    """Who holds the lock: process id, run name, UTC time in ISO 8601 to the second."""

    pid: int
    run_name: str
    since: str


class _FileLock:
    """Context manager that holds a lock file by `flock`, which the kernel frees on kill -9."""

    def __init__(self, path: Path, run_name: str) -> None:
        self._path = path
        self._run_name = run_name
        self._file: TextIOWrapper | None = None

    def __enter__(self) -> Self:
        file = _take(self._path, self._run_name)
        _write_holder(file, self._first_holder())
        self._file = file
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._take_leave(self._file)
            self._file.close()
            self._file = None

    def _first_holder(self) -> str:
        """What the file says of its holder from the start."""
        return ""

    def _take_leave(self, file: TextIOWrapper) -> None:
        """Write what the file says from now on."""


class RunLock(_FileLock):
    """Context manager that holds the project's lock by `flock`, which the kernel frees on kill -9.

    Raises:
        RunLockedError: on entering, another process holds it; says which run, since when, and its pid.
        StorageError: on entering, the lock file cannot be opened for writing.
    """

    def _first_holder(self) -> str:
        return _name(os.getpid(), self._run_name)

    def _take_leave(self, file: TextIOWrapper) -> None:
        _write_holder(file, "")


class LentLock(_FileLock):
    """Context manager that takes a lock and hands it to a child process, in which it lives on.

    Pass `descriptor` to the child; it holds the lock as long as it lives, also when this process is killed.
    So leaving leaves the child's name in the file.

    Raises:
        RunLockedError: on entering, a process holds it.
        StorageError: on entering, the lock file cannot be opened for writing.
    """

    @property
    def descriptor(self) -> int:
        """The open file that holds the lock."""
        if self._file is None:
            raise ValueError(f"The lock {self._path} was not taken; use it in a with block.")
        return self._file.fileno()

    def name_holder(self, pid: int) -> None:
        """Write down which process has it now."""
        if self._file is not None:
            _write_holder(self._file, _name(pid, self._run_name))


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

    A killed run leaves its name in the file: only `flock` tells whether it is still running.
    """
    try:
        return LockHolder(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _open_lock_file(path: Path) -> TextIOWrapper:
    with storage_errors(path, "take the run lock in"):
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+", encoding="utf-8")


def _take(path: Path, run_name: str) -> TextIOWrapper:
    """The open lock file, locked."""
    file = _open_lock_file(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise RunLockedError(_describe_refusal(path, run_name)) from error
    return file


def _name(pid: int, run_name: str) -> str:
    holder = LockHolder(pid, run_name, datetime.now(UTC).isoformat(timespec="seconds"))
    return json.dumps(asdict(holder))


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

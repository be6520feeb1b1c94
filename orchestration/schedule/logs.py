"""Processes of jobs, and their output: one log a job, rotated between runs, so that no line is split."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import psutil

from vision.base.errors import RunLockedError
from vision.base.files import storage_errors

logger = logging.getLogger(__name__)

KEPT_OUT_LINE = f"{RunLockedError.__name__}: ".encode()
"""How run.py begins its last line where another run holds the project's lock."""
TAIL_BYTES = 65_536


class Process(Protocol):
    """A process that leads a group of its own, as `psutil.Popen` and `psutil.Process` are."""

    pid: int

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code, None where it is not told; raises psutil.TimeoutExpired while it runs."""

    def create_time(self) -> float:
        """When it was made, in seconds since the epoch."""


Start = Callable[[str, Sequence[str]], Process]
"""Starts the process of a job: name, command line; raises OSError or StorageError."""


class JobLogs:
    """The output of jobs, `folder/NAME.log`; a log that is too large is put away before the next run."""

    def __init__(self, folder: Path, max_bytes: int, num_old: int) -> None:
        self._folder, self._max_bytes, self._num_old = folder, max_bytes, num_old

    def path(self, name: str) -> Path:
        """Where the output of a job goes."""
        return self._folder / f"{name}.log"

    def size(self, name: str) -> int:
        """Bytes that are there before the next run adds its own; 0 where the log is put away first."""
        with suppress(FileNotFoundError):
            size = self.path(name).stat().st_size
            return size if size <= self._max_bytes else 0
        return 0

    def starter(self, root: Path) -> Start:
        """What starts processes in the folder `root`, without input, their output in the log."""

        def start(name: str, command: Sequence[str]) -> Process:
            with storage_errors(self.path(name), "write the log"):
                self._rotate(self.path(name))
                file = self.path(name).open("ab")
            with file:
                file.write(f"\n=== {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC  {' '.join(command)}\n".encode())
                file.flush()
                process: Process = psutil.Popen(
                    list(command),
                    cwd=root,
                    env={**os.environ, "PYTHONUNBUFFERED": "1"},
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            return process

        return start

    def tells_kept_out(self, name: str, log_start: int) -> bool:
        """Whether what a run wrote says that another run holds the project's lock."""
        try:
            with self.path(name).open("rb") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(log_start, end - TAIL_BYTES))
                return any(line.startswith(KEPT_OUT_LINE) for line in file)
        except OSError as error:
            logger.warning("Why job %s failed cannot be told: %s", name, error)
            return False

    def _rotate(self, path: Path) -> None:
        """Put a log that is too large away as NAME.log.1, which was .1 as .2; the oldest goes."""
        if not path.exists() or path.stat().st_size <= self._max_bytes:
            return
        names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, self._num_old + 1))]
        for younger, older in reversed(list(pairwise(names))):
            if younger.exists():
                younger.replace(older)

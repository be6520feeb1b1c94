"""The scheduler's hands: a clock, and runs as processes of their own that keep a log.

A run leads a process group of its own, so that Ctrl-C in the scheduler's terminal does not reach it unasked,
and inherits a lock: whether it still lives is known for certain after the scheduler was killed.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import BinaryIO, Protocol

from vision.base.errors import RunLockedError
from vision.base.files import storage_errors
from vision.base.lock import LentLock, LockHolder, is_held, read_holder

logger = logging.getLogger(__name__)

KEPT_OUT_LINE = f"{RunLockedError.__name__}: ".encode()
"""How the last word of a run begins that another run kept out; see run.py."""
TAIL_BYTES = 65_536
SLICE_SECONDS = 0.2


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """The moment, in UTC; it jumps when somebody sets the clock."""

    def elapsed(self) -> float:
        """Seconds since some moment; nobody can set it back."""

    def sleep(self, seconds: float) -> None:
        """Wait; shorter where the scheduler is asked to stop."""


class RunningJob(Protocol):
    """A run that was started."""

    @property
    def pid(self) -> int:
        """Its process."""

    @property
    def exit_code(self) -> int | None:
        """Negative for a signal; None while it goes, and where nobody saw it end."""

    def wait(self, seconds: float) -> bool:
        """Wait for its end; whether it came."""

    def interrupt(self) -> None:
        """Ask it to end, as Ctrl-C does."""

    def kill(self) -> None:
        """End it."""

    def was_kept_out(self) -> bool:
        """Whether it ended because another run holds the project's lock."""


class JobRunner(Protocol):
    """What starts runs, one at a time."""

    def start(self, name: str, command: Sequence[str]) -> RunningJob:
        """Start a run of the job `name`.

        Raises:
            OSError: there is no such program, or no memory.
            StorageError: its log cannot be written.
            RunLockedError: a run that was started before is still running.
        """

    def survivor(self) -> RunningJob | None:
        """A run that is still running though the scheduler that started it was killed."""


class StopRequest:
    """Whether somebody asked the scheduler to end."""

    def __init__(self) -> None:
        self.requested = False

    def request(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Ask; also a signal handler."""
        self.requested = True


@contextmanager
def stop_on_signals(stop: StopRequest) -> Iterator[None]:
    """SIGTERM and SIGINT are requests to stop inside the block."""
    former = {number: signal.signal(number, stop.request) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


class SystemClock:
    """The machine's clock. It sleeps in slices, because a signal does not end `time.sleep`."""

    def __init__(self, stop: StopRequest) -> None:
        self._stop = stop

    def now(self) -> datetime:
        """The moment, in UTC."""
        return datetime.now(UTC)

    def elapsed(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait; shorter where the scheduler is asked to stop."""
        end = time.monotonic() + seconds
        while not self._stop.requested and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, SLICE_SECONDS))


class ChildJob:
    """A run that this process started."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, log_start: int) -> None:
        self._process = process
        self._log = log
        self._log_start = log_start

    @property
    def pid(self) -> int:
        """Its process, which leads its group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Of its process."""
        return self._process.returncode

    def wait(self, seconds: float) -> bool:
        """Wait for its end; whether it came."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is not None

    def interrupt(self) -> None:
        """SIGINT to its group: run.py then says what is kept."""
        _signal_group(self.pid, signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL to its group."""
        _signal_group(self.pid, signal.SIGKILL)

    def was_kept_out(self) -> bool:
        """Whether its output says that another run holds the lock."""
        with storage_errors(self._log, "read"), self._log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self._log_start, end - TAIL_BYTES))
            return any(line.startswith(KEPT_OUT_LINE) for line in file)


class SurvivingJob:
    """A run that another scheduler started, known by the lock that it holds."""

    exit_code = None
    """Only its parent is told, which is dead."""

    def __init__(self, lock: Path, holder: LockHolder | None) -> None:
        self._lock = lock
        self._holder = holder

    @property
    def pid(self) -> int:
        """Its process; 0 where the scheduler was killed before it could write it down."""
        return 0 if self._holder is None else self._holder.pid

    def wait(self, seconds: float) -> bool:
        """Wait for its end; whether it came."""
        end = time.monotonic() + seconds
        while is_held(self._lock):
            if time.monotonic() >= end:
                return False
            time.sleep(min(SLICE_SECONDS, seconds))
        return True

    def interrupt(self) -> None:
        """SIGINT to its group."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL to its group."""
        self._signal(signal.SIGKILL)

    def was_kept_out(self) -> bool:
        """Nobody knows."""
        return False

    def _signal(self, number: signal.Signals) -> None:
        if self.pid and is_held(self._lock):
            _signal_group(self.pid, number)


class ProcessRunner:
    """Starts runs as processes whose output is appended to `folder/NAME.log`."""

    def __init__(self, folder: Path, root: Path, max_log_bytes: int, num_old_logs: int) -> None:
        self._folder = folder
        self._root = root
        self._lock = folder / "run.lock"
        self._max_log_bytes = max_log_bytes
        self._num_old_logs = num_old_logs

    def start(self, name: str, command: Sequence[str]) -> ChildJob:
        """Start a run in the project's folder, without input."""
        with LentLock(self._lock, name) as lock, self._open_log(name) as log:
            log.write(f"\n=== {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC  {' '.join(command)}\n".encode())
            log.flush()
            log_start = log.tell()
            process = subprocess.Popen(
                list(command),
                cwd=self._root,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(lock.descriptor,),
            )
            try:
                lock.name_holder(process.pid)
            except OSError as error:
                logger.warning(
                    "Process %d of job %s is not noted in %s: %s", process.pid, name, self._lock, error
                )
            return ChildJob(process, self.log(name), log_start)

    def survivor(self) -> SurvivingJob | None:
        """The run that holds the lock."""
        return SurvivingJob(self._lock, read_holder(self._lock)) if is_held(self._lock) else None

    def log(self, name: str) -> Path:
        """Where the output of a job goes."""
        return self._folder / f"{name}.log"

    @contextmanager
    def _open_log(self, name: str) -> Iterator[BinaryIO]:
        path = self.log(name)
        with storage_errors(path, "write the log"):
            rotate(path, self._max_log_bytes, self._num_old_logs)
            file = path.open("ab")
        with file:
            yield file


def rotate(path: Path, max_bytes: int, num_old: int) -> None:
    """Put a file that is larger than `max_bytes` away as NAME.1, which was .1 as .2; the oldest goes.

    Done between runs, so that no line of a run is split or lost: one run may exceed the size.
    """
    if not path.exists() or path.stat().st_size <= max_bytes:
        return
    names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, num_old + 1))]
    for younger, older in reversed(list(pairwise(names))):
        if younger.exists():
            younger.replace(older)


def build_command(root: Path, pipeline: str, config: Path, overrides: Sequence[str]) -> tuple[str, ...]:
    """The command line that runs a pipeline."""
    command = [sys.executable, str(root / "run.py"), "--pipeline", pipeline, "--config", str(config)]
    for override in overrides:
        command += ["--set", override]
    return tuple(command)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, number)

"""A clock that passes only while somebody waits, and processes that take as long as they are told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from orchestration.schedule.config import ScheduleConfig
from orchestration.schedule.logs import JobLogs, Process
from orchestration.schedule.runner import Clock, Scheduler
from orchestration.schedule.state import ScheduleState, read_state

BEGIN = datetime(2026, 5, 4, 12, tzinfo=UTC)
NO_PROCESS = 2**22 + 1
"""A process id that Linux does not give by default."""


class KilledError(BaseException):
    """kill -9: nothing of the scheduler runs after it."""


class PlayedClock(Clock):
    """`stop_at` and `kill_at` are hours after BEGIN at which the scheduler is told to stop, or killed."""

    def __init__(self, hours: float = 0.0, stop_at: float = 24.0, kill_at: float = float("inf")) -> None:
        super().__init__()
        self.seconds = hours * 3600
        self.shift = timedelta()
        self.stop_at, self.kill_at = stop_at * 3600, kill_at * 3600

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.seconds) + self.shift

    def elapsed(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.seconds += max(seconds, 0.001)
        if self.seconds >= self.kill_at:
            raise KilledError
        if self.seconds >= self.stop_at:
            self.stop.set()


@dataclass
class PlayedProcess:
    """Ends after `seconds` with `code`; a signal would go to a process that does not exist."""

    clock: PlayedClock
    ends: float
    code: int
    pid: int = NO_PROCESS

    def wait(self, timeout: float | None = None) -> int | None:
        left = self.ends - self.clock.seconds
        if timeout is not None and left > timeout:
            self.clock.sleep(timeout)
            raise psutil.TimeoutExpired(timeout)
        self.clock.sleep(max(left, 0.0))
        return self.code

    def create_time(self) -> float:
        return 0.0


@dataclass
class World:
    """A scheduler's folder, and every start of a process: (job, the time it was started at)."""

    folder: Path
    config: ScheduleConfig
    behave: Callable[[str], tuple[float, int]] = lambda _: (10.0, 0)
    starts: list[tuple[str, datetime]] = field(default_factory=list)

    def scheduler(self, clock: PlayedClock) -> Scheduler:
        logs = JobLogs(self.folder, 1_000, 2)
        commands: dict[str, Sequence[str]] = {name: (name,) for name in (*self.config.jobs, "clean")}
        if self.config.keep_runs is None:
            del commands["clean"]

        def start(name: str, _command: Sequence[str]) -> Process:
            self.starts.append((name, clock.now()))
            seconds, code = self.behave(name)
            if code == KEPT_OUT:
                with logs.path(name).open("ab") as log:
                    log.write(b"RunLockedError: another run\n")
            return PlayedProcess(clock, clock.seconds + seconds, abs(code))

        return Scheduler(self.config, commands, logs, self.path, clock, start)

    def state(self) -> ScheduleState:
        return read_state(self.path)

    @property
    def path(self) -> Path:
        return self.folder / "state.json"

    def hours(self, name: str) -> list[float]:
        """When a job was started, in hours after BEGIN, to the minute."""
        return [round((at - BEGIN).total_seconds() / 3600, 2) for job, at in self.starts if job == name]


KEPT_OUT = -1
"""Exit code 1, and in its log that another run holds the lock."""


def schedule(**changes: object) -> ScheduleConfig:
    """`watch` at ten past every hour, `learn` at 03:40; no cleaning."""
    jobs = {
        "watch": {"pipeline": "monitoring", "config": "watch.yaml", "cron": "10 * * * *", "max_hours": 2},
        "learn": {"pipeline": "retraining", "config": "learn.yaml", "cron": "40 3 * * *"},
    }
    return ScheduleConfig.model_validate({"jobs": jobs, "keep_runs": None, **changes})

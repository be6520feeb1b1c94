"""A scheduler whose clock passes only while it waits, and whose runs take as long as they are told."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestration.schedule import runner
from orchestration.schedule.config import ScheduleConfig
from orchestration.schedule.runner import CLEANING, Scheduler
from orchestration.schedule.state import ScheduleState, read_state

BEGIN = datetime(2026, 5, 4, 12, tzinfo=UTC)
NO_PROCESS = 2**22 + 1
"""A process id that Linux does not give by default."""


class KilledError(BaseException):
    """kill -9: nothing of the scheduler runs after it."""


@dataclass
class World:
    """A scheduler's folder, its clock, and every start of a process: (job, the time it was started at)."""

    folder: Path
    config: ScheduleConfig
    patch: pytest.MonkeyPatch
    behave: Callable[[str], tuple[float, int]] = lambda _: (10.0, 0)
    starts: list[tuple[str, datetime]] = field(default_factory=list)

    def scheduler(self, **times: Any) -> PlayedScheduler:
        """One in whose module the clock is its own."""
        scheduler = PlayedScheduler(self, **times)
        self.patch.setattr(runner, "datetime", SimpleNamespace(now=lambda _: scheduler.now()))
        self.patch.setattr(runner, "time", SimpleNamespace(monotonic=lambda: scheduler.seconds))
        return scheduler

    def state(self) -> ScheduleState:
        return read_state(self.folder)

    def hours(self, name: str) -> list[float]:
        """When a job was started, in hours after BEGIN, to the minute."""
        return [round((at - BEGIN).total_seconds() / 3600, 2) for job, at in self.starts if job == name]


class PlayedScheduler(Scheduler):
    """`stop_at` and `kill_at` are hours after BEGIN at which the scheduler is told to stop, or killed."""

    def __init__(
        self, world: World, hours: float = 0.0, stop_at: float = 24.0, kill_at: float = 1e9, shift: float = 0
    ) -> None:
        commands = {name: (name,) for name in world.config.jobs}
        if world.config.keep_runs is not None:
            commands[CLEANING] = (CLEANING,)
        self.world, self.seconds, self.shift = world, hours * 3600, timedelta(hours=shift)
        self.stop_at, self.kill_at = stop_at * 3600, kill_at * 3600
        super().__init__(world.config, commands, world.folder)
        self.stop = PlayedStop(self)

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.seconds) + self.shift

    def _start(self, name: str) -> Any:
        self.world.starts.append((name, self.now()))
        seconds, code = self.world.behave(name)
        return PlayedProcess(self, self.seconds + seconds, code)


class PlayedStop(threading.Event):
    """Waits by putting the clock on."""

    def __init__(self, scheduler: PlayedScheduler) -> None:
        super().__init__()
        self._scheduler = scheduler

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        assert timeout >= 0
        scheduler = self._scheduler
        scheduler.seconds += max(timeout, 0.001)
        if scheduler.seconds >= scheduler.kill_at:
            raise KilledError
        if scheduler.seconds >= scheduler.stop_at:
            self.set()
        return self.is_set()


@dataclass
class PlayedProcess:
    """Ends at `ends` with `code`; a signal would go to a process that does not exist."""

    clock: PlayedScheduler
    ends: float
    code: int
    pid: int = NO_PROCESS

    def wait(self, timeout: float) -> int:
        left = self.ends - self.clock.seconds
        self.clock.stop.wait(max(min(left, timeout), 0.0))
        if left > timeout:
            raise subprocess.TimeoutExpired("job", timeout)
        return self.code


def schedule(**changes: object) -> ScheduleConfig:
    """`watch` at ten past every hour, `learn` at 03:40; no cleaning."""
    jobs = {
        "watch": {"pipeline": "monitoring", "config": "watch.yaml", "cron": "10 * * * *", "max_hours": 2},
        "learn": {"pipeline": "retraining", "config": "learn.yaml", "cron": "40 3 * * *"},
    }
    return ScheduleConfig.model_validate({"jobs": jobs, "keep_runs": None, **changes})

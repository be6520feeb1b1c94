"""A world in which the scheduler lives by a clock that tests move, and a project whose runs are trivial.

python -m tests.orchestration.schedule.schedule_toy ROOT SPEED EPOCH
keeps the schedule of the project at ROOT; its clock shows BEGIN at the real time EPOCH and goes SPEED times
as fast.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orchestration.schedule.config import ScheduleConfig
from orchestration.schedule.process import StopRequest
from orchestration.schedule.runner import Scheduler, run_schedule
from orchestration.schedule.state import ScheduleState, StateFile
from orchestration.session.paths import ProjectPaths
from vision.base.errors import StorageError
from vision.config.loading import find_config, load_settings

BEGIN = datetime(2026, 5, 4, 12, tzinfo=UTC)


class KilledError(BaseException):
    """kill -9: nothing of the scheduler runs after it."""


@dataclass
class Start:
    """A process that was started: for which job and time, when, and its place among all happenings."""

    name: str
    due: datetime
    moment: datetime
    kept_out: bool


@dataclass(frozen=True)
class Boundary:
    """A moment at which a scheduler begins or the clock was set: from then on, one run for what lies before.

    Attributes:
        num_starts: how many processes were started before it.
        moment: what the clock shows.
        is_set_back: whether the clock showed more before.
    """

    num_starts: int
    moment: datetime
    is_set_back: bool


@dataclass
class World:
    """Clock, processes and disk. Time passes only while somebody sleeps or waits.

    Attributes:
        moment: what the clock shows.
        seconds: how much time has really passed.
        behave: what the next run does: seconds that it takes, exit code, whether it was kept out.
        stop_at: real time at which the scheduler is asked to stop.
        fuse: happenings that are left until kill -9; None for never.
        jumps: real time -> by how much the clock is set then.
        full: whether the disk is.
        deaf: whether runs ignore being asked to stop.
    """

    moment: datetime = BEGIN
    seconds: float = 0.0
    behave: Callable[[str], tuple[float, int, bool]] = lambda _: (10.0, 0, False)
    stop_at: float = float("inf")
    fuse: int | None = None
    jumps: dict[float, timedelta] = field(default_factory=dict)
    full: Callable[[], bool] = lambda: False
    deaf: bool = False
    disk: str | None = None
    starts: list[Start] = field(default_factory=list)
    signals: list[str] = field(default_factory=list)
    boundaries: list[Boundary] = field(default_factory=list)
    run: "FakeRun | None" = None
    stop: StopRequest = field(default_factory=StopRequest)

    def happen(self) -> None:
        """Something that kill -9 can come before or after."""
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                raise KilledError

    def pass_time(self, seconds: float) -> None:
        end = self.seconds + seconds
        for at in sorted(at for at in self.jumps if self.seconds <= at <= end):
            self.moment += timedelta(seconds=at - self.seconds)
            self.seconds = at
            self.set_clock(self.jumps.pop(at))
        self.moment += timedelta(seconds=end - self.seconds)
        self.seconds = end
        self.stop.requested = self.seconds >= self.stop_at

    def set_clock(self, change: timedelta) -> None:
        self.boundaries.append(Boundary(len(self.starts), self.moment, is_set_back=False))
        self.moment += change
        self.boundaries.append(Boundary(len(self.starts), self.moment, change < timedelta()))

    # --- the clock ---

    def now(self) -> datetime:
        self.happen()
        return self.moment

    def elapsed(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0.0
        self.happen()
        self.pass_time(min(seconds, max(0.0, self.stop_at - self.seconds)))

    # --- the runner ---

    def start(self, name: str, command: Sequence[str]) -> "FakeRun":
        self.happen()
        assert self.survivor() is None, "two runs at one time"
        assert list(command) == [f"run {name}"]
        going = self.state().jobs[name].going
        assert going is not None, "a process without its mark on the disk"
        seconds, code, kept_out = self.behave(name)
        self.starts.append(Start(name, going.due, self.moment, kept_out))
        self.run = FakeRun(self, self.seconds + seconds, 1 if kept_out else code, kept_out)
        self.happen()
        return self.run

    def survivor(self) -> "FakeRun | None":
        return self.run if self.run is not None and self.run.exit_code is None else None

    # --- the disk ---

    def state(self) -> ScheduleState:
        assert self.disk is not None
        return ScheduleState.model_validate_json(self.disk)

    def due(self, name: str = "watch") -> list[str]:
        """The times that were answered by a run, as hours and minutes."""
        return [f"{each.due:%H:%M}" for each in self.starts if each.name == name and not each.kept_out]

    def live(self, config: ScheduleConfig, seconds: float = float("inf")) -> Scheduler:
        """Start a scheduler and let it live for a while, until it is asked to stop."""
        self.stop_at = self.seconds + seconds
        self.stop.requested = False
        scheduler = self.begin(config)
        scheduler.run()
        return scheduler

    def begin(self, config: ScheduleConfig) -> Scheduler:
        self.boundaries.append(Boundary(len(self.starts), self.moment, is_set_back=False))
        commands = {name: [f"run {name}"] for name in config.jobs}
        return Scheduler(config, commands, FakeFile(self), self, self, self.stop)


@dataclass
class FakeRun:
    """A run of which everything is known beforehand."""

    world: World
    end: float
    code: int
    kept_out: bool
    pid: int = 4711
    killed_by: int | None = None

    @property
    def exit_code(self) -> int | None:
        if self.killed_by is not None:
            return -self.killed_by
        return self.code if self.world.seconds >= self.end else None

    def wait(self, seconds: float) -> bool:
        self.world.happen()
        if self.exit_code is None:
            self.world.pass_time(min(seconds, self.end - self.world.seconds))
        return self.exit_code is not None

    def interrupt(self) -> None:
        self.world.signals.append("interrupt")
        if not self.world.deaf:
            self.killed_by = 2

    def kill(self) -> None:
        self.world.signals.append("kill")
        self.killed_by = 9

    def was_kept_out(self) -> bool:
        return self.kept_out


class FakeFile(StateFile):
    """A file in memory that is written whole or not at all."""

    def __init__(self, world: World) -> None:
        super().__init__(Path("state.json"))
        self._world = world

    def read(self) -> ScheduleState:
        return ScheduleState() if self._world.disk is None else self._world.state()

    def write(self, state: ScheduleState) -> None:
        self._world.happen()
        if self._world.full():
            raise StorageError("state.json: no space.")
        self._world.disk = state.model_dump_json()
        self._world.happen()


def schedule(cron: str = "*/15 * * * *", **changes: Any) -> ScheduleConfig:
    """One job, `watch`; `learn` is another one's expression."""
    jobs: dict[str, Any] = {"watch": {"pipeline": "monitoring", "config": "watch.yaml", "cron": cron}}
    if learn := changes.pop("learn", None):
        jobs["learn"] = {"pipeline": "retraining", "config": "learn.yaml", "cron": learn}
    if "max_hours" in changes:
        jobs["watch"]["max_hours"] = changes.pop("max_hours")
    return ScheduleConfig.model_validate({"jobs": jobs, **changes})


def killed(world: World, config: ScheduleConfig, fuse: int) -> None:
    """Start a scheduler that is killed after so many happenings."""
    world.fuse = fuse
    try:
        world.live(config)
    except KilledError:
        world.fuse = None
        return
    raise AssertionError("it was not killed")


def fuse_until_start(config: ScheduleConfig) -> int:
    """How many happenings lie before the first process of a new world."""
    for fuse in range(1, 1000):
        world = World(behave=lambda _: (600.0, 0, False))
        killed(world, config, fuse)
        if world.starts:
            return fuse
    raise AssertionError


RUN = """
import sys, time
from pathlib import Path
if "clean" in sys.argv:
    with open("ledger", "a") as ledger:
        ledger.write(f"clean {sys.argv[-1]}\\n")
    sys.exit(int(sys.argv[-1] == "7"))
name = Path(sys.argv[sys.argv.index("--config") + 1]).stem
with open("ledger", "a") as ledger:
    ledger.write(f"begin {name}\\n")
print("one line of output", flush=True)
time.sleep(float(Path(name).read_text()) if Path(name).exists() else 0.05)
with open("ledger", "a") as ledger:
    ledger.write(f"end {name}\\n")
"""


def make_project(root: Path, schedule: str) -> ProjectPaths:
    """A project whose run.py notes in `ledger` that it began and ended; a file NAME gives its seconds."""
    (root / "configs").mkdir()
    (root / "run.py").write_text(RUN, encoding="utf-8")
    for name in ("watch", "learn"):
        (root / "configs" / f"{name}.yaml").write_text("", encoding="utf-8")
    (root / "configs" / "schedule.yaml").write_text(schedule, encoding="utf-8")
    return ProjectPaths.of(root)


class FastClock:
    """A clock that goes `speed` times as fast as the real one, and shows BEGIN at the real time `epoch`."""

    def __init__(self, speed: float, epoch: float) -> None:
        self._speed = speed
        self._epoch = epoch

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.elapsed())

    def elapsed(self) -> float:
        return (time.time() - self._epoch) * self._speed

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds / self._speed, 0.05))


if __name__ == "__main__":
    home = Path(sys.argv[1])
    settings = load_settings(ScheduleConfig, find_config("schedule.yaml", home / "configs"))
    clock = FastClock(float(sys.argv[2]), float(sys.argv[3]))
    sys.exit(run_schedule(settings, ProjectPaths.of(home), clock=clock))

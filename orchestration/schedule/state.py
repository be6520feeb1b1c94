"""What the scheduler writes down: up to when each job is settled, what is running, how the last run ended.

Every moment is in UTC. The file is written whole or not at all.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, Field, ValidationError
from rich.console import Console
from rich.table import Table

from orchestration.schedule.config import ScheduleConfig
from orchestration.schedule.timetable import Timetable
from orchestration.session.paths import ProjectPaths
from vision.base.errors import StorageError
from vision.base.files import storage_errors, write_atomically
from vision.base.lock import is_held, read_holder
from vision.base.record import Record, Value

logger = logging.getLogger(__name__)

EXIT_CODES: Mapping[int, str] = MappingProxyType(
    {
        0: "done",
        1: "the run failed",
        2: "the config or the data is wrong",
        3: "a gate refused",
        130: "interrupted",
    }
)


class Ending(StrEnum):
    """How a run ended, as far as the scheduler saw."""

    EXITED = "exited"
    STOPPED = "stopped with the scheduler"
    TIMED_OUT = "stopped: over max_hours"
    LOST = "not known: the scheduler was killed"
    NOT_STARTED = "could not be started"


class FinishedRun(Value):
    """The last run of a job; `due` is the time of the timetable that it answered."""

    due: AwareDatetime
    started: AwareDatetime
    ending: Ending
    exit_code: int | None = Field(default=None, description="negative for a signal; None: nobody saw it")
    seconds: float | None = None

    def in_words(self) -> str:
        """What happened, for people."""
        if self.exit_code is None or self.ending in (Ending.STOPPED, Ending.TIMED_OUT):
            return self.ending.value
        if self.exit_code < 0:
            return f"killed by signal {-self.exit_code}"
        return f"{self.exit_code} {EXIT_CODES.get(self.exit_code, 'unexpected exit code')}"


class GoingRun(Value):
    """A run that is about to start or is running; it is written down before its process exists."""

    due: AwareDatetime
    started: AwareDatetime
    pid: int | None = None
    create_time: float | None = Field(default=None, description="of the process, seconds since the epoch")


class JobState(Value):
    """One job."""

    cron: str = Field(description="with another expression or time zone the job counts anew")
    timezone: str
    settled: AwareDatetime = Field(description="every time up to here was run, or left out on purpose")
    going: GoingRun | None = None
    last: FinishedRun | None = None


class ScheduleState(Record):
    """All jobs that were ever scheduled in this project, by name."""

    jobs: dict[str, JobState] = Field(default_factory=dict)

    def with_job(self, name: str, job: JobState) -> ScheduleState:
        """The same with one job's state exchanged."""
        return self.model_copy(update={"jobs": {**self.jobs, name: job}})


@dataclass(frozen=True)
class ScheduleFiles:
    """What a scheduler keeps in the state folder: the logs NAME.log of its jobs, its lock, its state."""

    folder: Path
    lock: Path
    state: Path

    @classmethod
    def of(cls, paths: ProjectPaths) -> ScheduleFiles:
        """Those of a project. Creates nothing."""
        folder = paths.state / "schedule"
        return cls(folder, folder / "scheduler.lock", folder / "state.json")


def read_state(path: Path) -> ScheduleState:
    """The state in a file; an empty one where there is no file.

    Raises:
        StorageError: the file cannot be read, or does not hold a state that this program can read.
    """
    if not path.exists():
        return ScheduleState()
    with storage_errors(path, "read the scheduler's state"):
        content = path.read_bytes()
    try:
        return ScheduleState.model_validate_json(content)
    except ValidationError as error:
        raise StorageError(
            f"{path} does not hold a scheduler's state: {error}. To have all jobs count from now, move the "
            "file away."
        ) from error


def write_state(path: Path, state: ScheduleState) -> None:
    """Replace the file.

    Raises:
        StorageError: no space, no permission, a read-only disk.
    """
    write_atomically(path, state.model_dump_json(indent=1))


def print_status(config: ScheduleConfig, paths: ProjectPaths) -> int:
    """Print the jobs, their last and next runs, and whether a scheduler is running; 0.

    Raises:
        StorageError: the state cannot be read.
    """
    files = ScheduleFiles.of(paths)
    state, now, zone = read_state(files.state), datetime.now(UTC), ZoneInfo(config.timezone)
    times = f"last run ({config.timezone})", "ended", "seconds", f"next run ({config.timezone})"
    table = Table("job", "cron", *times)
    for name, settings in config.jobs.items():
        job, timetable = state.jobs.get(name), Timetable(settings.cron, zone)
        table.add_row(
            name, settings.cron, *_describe_last(job, zone), _describe_next(job, timetable, now, zone)
        )
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160)
    console.print(table)
    console.print(_describe_scheduler(files))
    return 0


def show_moment(moment: datetime, zone: ZoneInfo) -> str:
    """A moment as the local clock shows it, to the minute."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def _describe_scheduler(files: ScheduleFiles) -> str:
    holder = read_holder(files.lock)
    if holder is not None and is_held(files.lock):
        return f"The scheduler is running: process {holder.pid}, since {holder.since}. Logs: {files.folder}"
    killed = "" if holder is None else f" Process {holder.pid}, started {holder.since}, was killed."
    return f"No scheduler is running.{killed} Start one: python run.py schedule --config schedule.yaml"


def _describe_last(job: JobState | None, zone: ZoneInfo) -> tuple[str, str, str]:
    if job is None or job.last is None:
        return "never", "", ""
    seconds = "" if job.last.seconds is None else f"{job.last.seconds:.1f}"
    return show_moment(job.last.started, zone), job.last.in_words(), seconds


def _describe_next(job: JobState | None, timetable: Timetable, now: datetime, zone: ZoneInfo) -> str:
    if job is None:
        return show_moment(timetable.next_after(now), zone)
    if job.going is not None:
        return f"runs since {show_moment(job.going.started, zone)}"
    if timetable.newest_until(now, job.settled) is not None:
        return "due now"
    return show_moment(timetable.next_after(max(job.settled, now)), zone)

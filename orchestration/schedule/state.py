"""What the scheduler writes down of each job, in `state/schedule/state.json`, and how it is shown.

Every moment is in UTC.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
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

LOCK = "scheduler.lock"
STATE = "state.json"
EXIT_CODES = {
    0: "done",
    1: "the run failed",
    2: "the config or the data is wrong",
    3: "a gate refused",
    130: "interrupted",
}


class Ending(StrEnum):
    """How a run ended, as far as the scheduler saw."""

    EXITED = "exited"
    STOPPED = "stopped with the scheduler"
    TIMED_OUT = "stopped: over max_hours"
    LOST = "not known: the scheduler was killed"
    NOT_STARTED = "could not be started"


class GoingRun(Value):
    """A run that is about to start or is running; `due` is the time of the timetable that it answers."""

    due: AwareDatetime
    started: AwareDatetime


class FinishedRun(GoingRun):
    """The last run of a job."""

    ending: Ending
    exit_code: int | None = Field(default=None, description="negative for a signal; None: nobody saw it")
    seconds: float | None = None

    def in_words(self) -> str:
        """What happened, for people."""
        if self.exit_code is None or self.ending is not Ending.EXITED:
            return self.ending.value
        if self.exit_code < 0:
            return f"killed by signal {-self.exit_code}"
        return f"{self.exit_code} {EXIT_CODES.get(self.exit_code, 'unexpected exit code')}"


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


def find_folder(paths: ProjectPaths) -> Path:
    """Folder of a project's scheduler: its lock, its state and the logs NAME.log of its jobs."""
    return paths.state / "schedule"


def read_state(folder: Path) -> ScheduleState:
    """The state of the scheduler in a folder; an empty one where there is no file.

    Raises:
        StorageError: the file cannot be read, or does not hold a state that this program can read.
    """
    path = folder / STATE
    if not path.exists():
        return ScheduleState()
    try:
        with storage_errors(path, "read the scheduler's state"):
            return ScheduleState.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise StorageError(
            f"{path} does not hold a scheduler's state: {error}. To have all jobs count from now, move the "
            "file away."
        ) from error


def write_state(folder: Path, state: ScheduleState) -> None:
    """Replace the state, whole or not at all.

    Raises:
        StorageError: no space, no permission, a read-only disk.
    """
    write_atomically(folder / STATE, state.model_dump_json(indent=1))


def show_moment(moment: datetime, zone: ZoneInfo) -> str:
    """A moment as the local clock shows it, to the minute."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def print_status(config: ScheduleConfig, paths: ProjectPaths) -> int:
    """Print the jobs, their last and next runs, and whether a scheduler is running; 0.

    Raises:
        StorageError: the state cannot be read.
    """
    folder, zone = find_folder(paths), ZoneInfo(config.timezone)
    jobs = read_state(folder).jobs
    times = f"last run ({config.timezone})", "ended", "seconds", f"next run ({config.timezone})"
    table = Table("job", "config", "cron", *times)
    for name, settings in config.jobs.items():
        job, shown = jobs.get(name), ("never", "", "")
        if job is not None and job.last is not None:
            seconds = "" if job.last.seconds is None else f"{job.last.seconds:.1f}"
            shown = show_moment(job.last.started, zone), job.last.in_words(), seconds
        due = _describe_next(job, Timetable(settings.cron, zone), zone)
        table.add_row(name, settings.config, settings.cron, *shown, due)
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160)
    console.print(table)
    console.print(_describe_scheduler(folder))
    return 0


def _describe_next(job: JobState | None, timetable: Timetable, zone: ZoneInfo) -> str:
    now = datetime.now(UTC)
    if job is not None and job.going is not None:
        return f"runs since {show_moment(job.going.started, zone)}"
    settled = now if job is None else job.settled
    if timetable.newest_until(now, settled) is not None:
        return "due now"
    return show_moment(timetable.next_after(max(settled, now)), zone)


def _describe_scheduler(folder: Path) -> str:
    holder = read_holder(folder / LOCK)
    if holder is not None and is_held(folder / LOCK):
        return f"The scheduler is running: process {holder.pid}, since {holder.since}. Logs: {folder}"
    killed = "" if holder is None else f" Process {holder.pid}, started {holder.since}, was killed."
    return f"No scheduler is running.{killed} Start one: the same command without --status"

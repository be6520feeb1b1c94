"""What the scheduler did last and does next, read from outside without touching anything."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table

from orchestration.schedule.config import ScheduleConfig
from orchestration.schedule.runner import build_timetables
from orchestration.schedule.state import JobState, ScheduleFiles, StateFile
from orchestration.schedule.timetable import Timetable
from orchestration.session.paths import ProjectPaths
from vision.base.lock import is_held, read_holder


def print_status(config: ScheduleConfig, paths: ProjectPaths) -> int:
    """Print the jobs, their last and next runs, and whether a scheduler is running; 0.

    Raises:
        StorageError: the state is damaged or cannot be read.
    """
    files = ScheduleFiles.of(paths)
    state = StateFile(files.state).read()
    now, zone = datetime.now(UTC), ZoneInfo(config.timezone)
    table = Table(
        "job",
        "cron",
        f"last run ({config.timezone})",
        "ended",
        "seconds",
        f"next run ({config.timezone})",
    )
    for name, timetable in build_timetables(config).items():
        cron = config.jobs[name].cron
        job = state.jobs.get(name)
        table.add_row(name, cron, *describe_last(job, zone), describe_next(job, timetable, now, zone))
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160)
    console.print(table)
    console.print(describe_scheduler(files))
    if config.use_stack:
        console.print("use_stack is set: what an orchestrator keeps tells zenml pipeline schedule list")
    return 0


def describe_scheduler(files: ScheduleFiles) -> str:
    """Whether a scheduler is running: its process, and since when."""
    holder = read_holder(files.lock)
    if holder is not None and is_held(files.lock):
        return f"The scheduler is running: process {holder.pid}, since {holder.since}. Logs: {files.folder}"
    killed = "" if holder is None else f" Process {holder.pid}, started {holder.since}, was killed."
    return f"No scheduler is running.{killed} Start one: python run.py schedule --config schedule.yaml"


def describe_last(job: JobState | None, zone: ZoneInfo) -> tuple[str, str, str]:
    """When the last run started, how it ended, its seconds."""
    if job is None or job.last is None:
        return "never", "", ""
    seconds = "" if job.last.seconds is None else f"{job.last.seconds:.1f}"
    return _show(job.last.started, zone), job.last.in_words(), seconds


def describe_next(job: JobState | None, timetable: Timetable, now: datetime, zone: ZoneInfo) -> str:
    """When the next run starts, or what goes on now."""
    if job is None:
        return _show(timetable.next_after(now), zone)
    if job.going is not None:
        return f"runs since {_show(job.going.started, zone)}"
    if job.retry_at is not None:
        return f"{_show(job.retry_at, zone)} (try {job.num_refusals + 1}: another run held the lock)"
    if timetable.newest_until(now, job.settled) is not None:
        return "due now"
    return _show(timetable.next_after(max(job.settled, now)), zone)


def _show(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"

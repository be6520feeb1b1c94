"""What the scheduler must know after kill -9: up to when each job is settled, what was going, how it ended.

Every moment is in UTC. The file is written whole or not at all.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from pydantic import AwareDatetime, Field

from orchestration.session.paths import ProjectPaths
from vision.base.errors import StorageError
from vision.base.files import storage_errors, write_atomically
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
    KEPT_OUT = "given up: another run held the lock"
    NOT_STARTED = "could not be started"


class FinishedRun(Value):
    """The last run of a job.

    Attributes:
        due: the time of the timetable that it answered.
        started: when it was started, or last tried.
        ending: how it ended.
        exit_code: of the process, negative for a signal; None where nobody saw it.
        seconds: how long it took; None where nobody saw it end.
    """

    due: AwareDatetime
    started: AwareDatetime
    ending: Ending
    exit_code: int | None = None
    seconds: float | None = None

    def in_words(self) -> str:
        """What happened, for people."""
        if self.exit_code is None or self.ending in (Ending.STOPPED, Ending.TIMED_OUT):
            return self.ending.value
        if self.exit_code < 0:
            return f"killed by signal {-self.exit_code}"
        return f"{self.exit_code} {EXIT_CODES.get(self.exit_code, 'unexpected exit code')}"


class GoingRun(Value):
    """A run that was about to start or is going: it is written down before the process exists."""

    due: AwareDatetime
    started: AwareDatetime


class JobState(Value):
    """One job.

    Attributes:
        cron: the expression and
        timezone: the zone that `settled` was counted by; with another one the job counts anew.
        settled: every time of the timetable up to here was run or deliberately left out.
        going: the run that is going.
        last: the last run.
        num_refusals: how often the due run was kept out by another run.
        retry_at: when it is tried again.
    """

    cron: str
    timezone: str
    settled: AwareDatetime
    going: GoingRun | None = None
    last: FinishedRun | None = None
    num_refusals: int = 0
    retry_at: AwareDatetime | None = None


class ScheduleState(Record):
    """All jobs that were ever scheduled in this project, by name."""

    jobs: dict[str, JobState] = Field(default_factory=dict)

    def with_job(self, name: str, job: JobState) -> ScheduleState:
        """The same with one job's state exchanged."""
        return self.model_copy(update={"jobs": {**self.jobs, name: job}})


@dataclass(frozen=True)
class ScheduleFiles:
    """What a scheduler keeps in the state folder.

    Attributes:
        folder: the logs of its jobs, NAME.log.
        lock: held by the scheduler that lives.
        state: a `ScheduleState`.
    """

    folder: Path
    lock: Path
    state: Path

    @classmethod
    def of(cls, paths: ProjectPaths) -> ScheduleFiles:
        """Those of a project. Creates nothing."""
        folder = paths.state / "schedule"
        return cls(folder, folder / "scheduler.lock", folder / "state.json")


class DamagedStateError(StorageError):
    """The state file is not what a scheduler wrote."""


class StateFile:
    """Where the state lies."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> ScheduleState:
        """The state; an empty one where there is no file yet.

        Raises:
            DamagedStateError: the file does not hold a state.
            StorageError: it cannot be read, or was written by a newer program.
        """
        if not self.path.exists():
            return ScheduleState()
        with storage_errors(self.path, "read the scheduler's state"):
            content = self.path.read_bytes()
        try:
            tree = json.loads(content)
            version = tree["schema_version"]
            if isinstance(version, int) and version > ScheduleState.SCHEMA_VERSION:
                raise StorageError(
                    f"{self.path} has schema version {version}; this program reads up to "
                    f"{ScheduleState.SCHEMA_VERSION}. Update Taxon, or move the file away to count anew."
                )
            return ScheduleState.model_validate_json(content)
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise DamagedStateError(f"{self.path} does not hold a scheduler's state: {error}") from error

    def read_or_set_aside(self, now: datetime) -> ScheduleState:
        """The state; where the file is damaged it is kept under another name, said, and begun anew.

        Raises:
            StorageError: the file cannot be read or moved, or was written by a newer program.
        """
        try:
            return self.read()
        except DamagedStateError as error:
            aside = self.path.with_name(f"{self.path.name}.damaged-{now:%Y%m%d-%H%M%S}")
            with storage_errors(aside, "set the damaged state aside"):
                self.path.rename(aside)
            logger.warning(
                "%s. It was set aside as %s. Every job counts from now: times that were missed before are "
                "not caught up.",
                error,
                aside.name,
            )
            return ScheduleState()

    def write(self, state: ScheduleState) -> None:
        """Replace the file.

        Raises:
            StorageError: no space, no permission, a read-only disk.
        """
        write_atomically(self.path, state.model_dump_json(indent=1))

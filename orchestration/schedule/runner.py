"""Pipelines by cron expression, one at a time, each as a process of its own that keeps a log.

A run is written down before its process exists, and its time as settled once it ended; so no time is run
twice, whenever the scheduler is killed. A run that was going then is named and not run again: what took the
machine down would take it down at every start. Times that were missed are answered by one run, for the newest
of them; times that pass while a job runs are answered by that run. While another run holds the project's
lock, a job stays due and is tried again.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psutil

from orchestration.schedule.config import ScheduleConfig
from orchestration.schedule.logs import JobLogs, Process, Start
from orchestration.schedule.state import (
    Ending,
    FinishedRun,
    GoingRun,
    JobState,
    ScheduleFiles,
    read_state,
    show_moment,
    write_state,
)
from orchestration.schedule.timetable import Timetable
from orchestration.session.paths import ProjectPaths
from vision.base.errors import ConfigError, RunLockedError, StorageError
from vision.base.lock import RunLock
from vision.config.loading import find_config

logger = logging.getLogger(__name__)

LONGEST_SLEEP = 30.0
"""Seconds after which the clock is read again: somebody may have set it."""
POLL_SECONDS = 1.0
KILL_SECONDS = 10.0
CLEANING = "clean"
CLEANING_HOURS = 1.0
LATE = timedelta(minutes=1)
FAILED = 1


class Clock:
    """The machine's clock; tests have one of their own."""

    def __init__(self) -> None:
        """No stop was asked for yet."""
        self.stop = threading.Event()

    def now(self) -> datetime:
        """The moment, in UTC; it jumps when somebody sets the clock."""
        return datetime.now(UTC)

    def elapsed(self) -> float:
        """Seconds since some moment; nobody can set it back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait; shorter where a stop is asked for."""
        self.stop.wait(seconds)


def run_schedule(config: ScheduleConfig, paths: ProjectPaths, *, once: bool = False) -> int:
    """Start the jobs when they are due, until SIGTERM or SIGINT.

    Args:
        config: the jobs.
        paths: the project; its run.py is what is started.
        once: start what is due now, one after the other, and end: for cron or systemd, which call again.

    Returns:
        0 when it was stopped. With `once` the first exit code of a run that is not 0.

    Raises:
        ConfigError: a job's config does not exist.
        RunLockedError: another scheduler is running in this project.
        StorageError: the state folder cannot be read or written.
    """
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    logging.getLogger("orchestration").setLevel(logging.INFO)
    commands, files, clock = find_commands(config, paths), ScheduleFiles.of(paths), Clock()
    logs = JobLogs(files.folder, int(config.max_log_megabytes * 1e6), config.num_old_logs)
    with RunLock(files.lock, "scheduler"), _stop_on_signals(clock.stop):
        scheduler = Scheduler(config, commands, logs, files.state, clock, logs.starter(paths.root))
        return scheduler.run_due() if once else scheduler.run()


def find_commands(config: ScheduleConfig, paths: ProjectPaths) -> Mapping[str, Sequence[str]]:
    """The command line of each job, and that which removes old runs if `keep_runs` asks for it.

    Raises:
        ConfigError: configs that do not exist, one a line.
    """
    commands: dict[str, Sequence[str]] = {}
    faults, program = [], (sys.executable, str(paths.root / "run.py"))
    for name, job in config.jobs.items():
        try:
            path = find_config(job.config, paths.root / "configs").resolve()
        except ConfigError as error:
            faults.append(f"jobs.{name}.config: {error}")
            continue
        overrides = [part for each in job.set for part in ("--set", each)]
        commands[name] = (*program, "--pipeline", job.pipeline, "--config", str(path), *overrides)
    if faults:
        raise ConfigError("\n".join(faults))
    if config.keep_runs is not None:
        commands[CLEANING] = (*program, "clean", "--keep", str(config.keep_runs))
    return commands


class Scheduler:
    """Decides what is due, runs it, and writes down what happened.

    Args:
        config: the jobs.
        commands: what `find_commands` gives.
        logs: where the jobs' output goes.
        path: file of the state; nobody else writes it meanwhile.
        clock: where the time comes from, and whether to stop.
        start: what starts processes.

    Raises:
        StorageError: the state cannot be read.
    """

    def __init__(
        self,
        config: ScheduleConfig,
        commands: Mapping[str, Sequence[str]],
        logs: JobLogs,
        path: Path,
        clock: Clock,
        start: Start,
    ) -> None:
        self._config, self._commands, self._logs = config, commands, logs
        self._path, self._clock, self._start = path, clock, start
        self._zone = ZoneInfo(config.timezone)
        self._timetables = {name: Timetable(job.cron, self._zone) for name, job in config.jobs.items()}
        self._state = read_state(path)
        self._retry_at: dict[str, float] = {}
        self._warned_of: set[datetime] = set()

    def run(self) -> int:
        """Go on until a stop is asked for; while the state cannot be written, nothing is started."""
        self._begin()
        logger.info("The scheduler keeps %d jobs: %s.", len(self._config.jobs), ", ".join(self._config.jobs))
        while not self._clock.stop.is_set():
            try:
                pause = self._take_turn()
            except StorageError as error:
                logger.warning("Nothing is started until the state can be written: %s", error)
                pause = float(self._config.retry_seconds)
            self._clock.sleep(pause)
        logger.info("The scheduler was told to stop, and has.")
        return 0

    def run_due(self) -> int:
        """Run what is due at this moment; the first exit code that is not 0, 1 for a run without one."""
        self._begin()
        codes = []
        for due, name in sorted(self._find_due()):
            if not self._clock.stop.is_set():
                codes.append(self._run(name, due))
        if not codes:
            looks = sorted(
                (self._timetables[name].next_after(self._clock.now()), name) for name in self._config.jobs
            )
            told = ", ".join(f"{name} at {self._show(moment)}" for moment, name in looks)
            logger.info("Nothing is due; next: %s.", told)
        return next((code if code > 0 else FAILED for code in codes if code != 0), 0)

    def _begin(self) -> None:
        """Enter new jobs and those whose timetable changed; wait for a run of a scheduler that was killed."""
        now, zone = self._clock.now(), self._config.timezone
        for name, settings in self._config.jobs.items():
            known = self._state.jobs.get(name)
            if known is None:
                logger.info("Job %s is new: it counts from now.", name)
                self._keep(name, JobState(cron=settings.cron, timezone=zone, settled=now))
            elif (known.cron, known.timezone) != (settings.cron, zone):
                logger.info("Job %s has another timetable (%s): it counts from now.", name, settings.cron)
                changes = {"cron": settings.cron, "timezone": zone, "settled": max(now, known.settled)}
                self._keep(name, known.model_copy(update=changes))
        for name, job in self._state.jobs.items():
            if job.going is not None:
                self._settle_lost(name, job.going)

    def _settle_lost(self, name: str, going: GoingRun) -> None:
        """Wait for a run whose scheduler was killed, name it, and do not run its time again."""
        process = _find_process(going)
        if process is not None:
            logger.warning(
                "A run of job %s (process %d) outlived its scheduler. Nothing starts before it ends.",
                name,
                process.pid,
            )
            self._watch(process, float("inf"))
        lost = FinishedRun(due=going.due, started=going.started, ending=Ending.LOST)
        self._finish(name, lost, max(self._state.jobs[name].settled, going.due))
        logger.warning(
            "Job %s was running for %s when the scheduler was killed; how it ended is not known, its log may "
            "tell: %s. It is not run again for that time.",
            name,
            self._show(going.due),
            self._logs.path(name),
        )

    def _take_turn(self) -> float:
        """Run what is due first; the seconds after which to look again."""
        now = self._clock.now()
        waiting = {name for name, end in self._retry_at.items() if self._clock.elapsed() < end}
        ready = [(due, name) for due, name in self._find_due() if name not in waiting]
        if ready:
            due, name = min(ready)
            self._run(name, due)
            return 0.0
        self._warn_of_clock(now)
        nexts = [self._timetables[name].next_after(now) for name in self._config.jobs]
        seconds = (min(nexts) - now).total_seconds()
        retries = [self._retry_at[name] - self._clock.elapsed() for name in waiting]
        return min(seconds, LONGEST_SLEEP, *retries)

    def _find_due(self) -> Iterator[tuple[datetime, str]]:
        """The newest time of each job that is due."""
        for name in self._config.jobs:
            due = self._timetables[name].newest_until(self._clock.now(), self._state.jobs[name].settled)
            if due is not None:
                yield due, name

    def _warn_of_clock(self, now: datetime) -> None:
        for name in self._config.jobs:
            settled = self._state.jobs[name].settled
            if settled > now + LATE and settled not in self._warned_of:
                self._warned_of.add(settled)
                logger.warning(
                    "Job %s is done up to %s, but the clock shows %s: was it set back? The job runs again "
                    "after that time. To have all jobs count from now, stop the scheduler and remove %s.",
                    name,
                    self._show(settled),
                    self._show(now),
                    self._path,
                )

    def _run(self, name: str, due: datetime) -> int:
        """Run a job for its time `due`; its exit code, 0 where another run keeps it out.

        Raises:
            StorageError: the state cannot be written; then nothing was started.
        """
        started, begun = self._clock.now(), self._clock.elapsed()
        self._keep(
            name, self._state.jobs[name].model_copy(update={"going": GoingRun(due=due, started=started)})
        )
        late = f", missed until now ({self._show(started)})" if started - due > LATE else ""
        logger.info("Job %s starts for %s%s.", name, self._show(due), late)
        log_start = self._logs.size(name)
        try:
            process = self._start(name, self._commands[name])
        except (OSError, StorageError):
            logger.exception("Job %s could not be started.", name)
            return self._settle(name, FinishedRun(due=due, started=started, ending=Ending.NOT_STARTED))
        self._note_process(name, process)
        ending, code = self._watch(process, self._config.jobs[name].max_hours)
        if code == RunLockedError.exit_code and self._logs.tells_kept_out(name, log_start):
            pause = self._config.retry_seconds
            logger.info("Job %s was kept out by another run; it is tried again in %d s.", name, pause)
            self._retry_at[name] = self._clock.elapsed() + pause
            self._keep(name, self._state.jobs[name].model_copy(update={"going": None}))
            return 0
        seconds = round(self._clock.elapsed() - begun, 3)
        run = FinishedRun(due=due, started=started, ending=ending, exit_code=code, seconds=seconds)
        code = self._settle(name, run)
        self._clean()
        return code

    def _note_process(self, name: str, process: Process) -> None:
        """Write down which process runs, for the scheduler after a kill."""
        job = self._state.jobs[name]
        with suppress(psutil.NoSuchProcess):
            known = {"pid": process.pid, "create_time": process.create_time()}
            going = job.going.model_copy(update=known) if job.going else None
            try:
                self._keep(name, job.model_copy(update={"going": going}))
            except StorageError as error:
                logger.warning("Process %d of job %s is not noted: %s", process.pid, name, error)

    def _watch(self, process: Process, max_hours: float) -> tuple[Ending, int | None]:
        """Wait until a run ends; it is ended where a stop is asked for or it takes too long."""
        begun = self._clock.elapsed()
        while True:
            try:
                return Ending.EXITED, process.wait(POLL_SECONDS)
            except psutil.TimeoutExpired:
                if self._clock.stop.is_set():
                    return Ending.STOPPED, self._end(process)
                if self._clock.elapsed() - begun > max_hours * 3600:
                    return Ending.TIMED_OUT, self._end(process)

    def _end(self, process: Process) -> int | None:
        """Ask a run to end, as Ctrl-C does, then kill it."""
        logger.info("Process %d is told to stop and gets %d s.", process.pid, self._config.stop_seconds)
        for number, seconds in ((signal.SIGINT, self._config.stop_seconds), (signal.SIGKILL, KILL_SECONDS)):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(psutil.TimeoutExpired):
                return process.wait(seconds)
        logger.error("Process %d goes on after SIGKILL; find out why: ps -fp %d", process.pid, process.pid)
        return None

    def _clean(self) -> None:
        """Remove old runs, or the disk fills within months; that it fails is told, and stops nothing."""
        if CLEANING not in self._commands or self._clock.stop.is_set():
            return
        try:
            ended = self._watch(self._start(CLEANING, self._commands[CLEANING]), CLEANING_HOURS)
        except (OSError, StorageError) as error:
            logger.warning("Old runs were not removed: %s", error)
            return
        if ended != (Ending.EXITED, 0):
            logger.warning("Old runs were not removed (keep_runs); why: %s", self._logs.path(CLEANING))

    def _settle(self, name: str, run: FinishedRun) -> int:
        """Write down how a run ended; the times that passed meanwhile are answered by it."""
        passed = self._timetables[name].newest_until(self._clock.now(), run.due)
        took = "" if run.seconds is None else f" after {run.seconds:.1f} s"
        logger.info("Job %s: %s%s.", name, run.in_words(), took)
        if passed is not None:
            logger.warning(
                "Job %s took longer than its pause; it is not run for %s.", name, self._show(passed)
            )
        self._finish(name, run, passed or run.due)
        return FAILED if run.exit_code is None else run.exit_code

    def _finish(self, name: str, run: FinishedRun, settled: datetime) -> None:
        """Remember that a run ended, also where the disk refuses it now."""
        job = self._state.jobs[name].model_copy(update={"going": None, "last": run, "settled": settled})
        try:
            self._keep(name, job)
        except StorageError as error:
            self._state = self._state.with_job(name, job)
            logger.warning("The state of job %s is not written yet: %s", name, error)

    def _keep(self, name: str, job: JobState) -> None:
        """Change a job's state, on the disk first.

        Raises:
            StorageError: it cannot be written; then nothing is changed.
        """
        state = self._state.with_job(name, job)
        write_state(self._path, state)
        self._state = state

    def _show(self, moment: datetime) -> str:
        return show_moment(moment, self._zone)


def _find_process(going: GoingRun) -> Process | None:
    """The process of a run that was written down, if it still runs."""
    if going.pid is None:
        return None
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(going.pid)
        if process.create_time() == going.create_time and process.status() != psutil.STATUS_ZOMBIE:
            found: Process = process
            return found
    return None


@contextmanager
def _stop_on_signals(stop: threading.Event) -> Iterator[None]:
    """SIGTERM and SIGINT ask for a stop inside the block."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    former = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)

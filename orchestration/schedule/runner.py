"""Pipelines by cron expression, one at a time, each as a process of its own that keeps a log.

A run is written down before its process exists, and its time as settled once it ended; so no time is run
twice, whenever the scheduler is killed. A run that was going then is named and not run again: what took the
machine down would take it down at every start. Times that were missed are answered by one run, for the newest
of them; times that pass while a job runs are answered by that run. While another run holds the project's
lock, as one that outlived its scheduler does, a job stays due and is tried again.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from orchestration.schedule.config import ScheduleConfig
from orchestration.schedule.state import (
    LOCK,
    STATE,
    Ending,
    FinishedRun,
    GoingRun,
    JobState,
    find_folder,
    read_state,
    show_moment,
    write_state,
)
from orchestration.schedule.timetable import Timetable
from orchestration.session.paths import ProjectPaths
from vision.base.errors import ConfigError, RunLockedError, StorageError
from vision.base.lock import RunLock
from vision.config.reading.loading import find_config

logger = logging.getLogger(__name__)

LONGEST_SLEEP = 30.0
"""Seconds after which the clock is read again: somebody may have set it."""
POLL_SECONDS = 1.0
KILL_SECONDS = 10.0
CLEANING = "_clean"
"""Its log is _clean.log; no job is called so."""
CLEANING_HOURS = 1.0
LATE = timedelta(minutes=1)
KEPT_OUT = RunLockedError.exit_code


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
    commands, folder = find_commands(config, paths), find_folder(paths)
    with RunLock(folder / LOCK, "scheduler"):
        scheduler = Scheduler(config, commands, folder)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: scheduler.stop.set())
        return scheduler.run(once=once)


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
        folder: of state and logs; nobody else writes there meanwhile.

    Raises:
        StorageError: the state cannot be read.
    """

    def __init__(self, config: ScheduleConfig, commands: Mapping[str, Sequence[str]], folder: Path) -> None:
        self.stop = threading.Event()
        self._config, self._commands, self._folder = config, commands, folder
        self._zone = ZoneInfo(config.timezone)
        self._timetables = {name: Timetable(job.cron, self._zone) for name, job in config.jobs.items()}
        self._state = read_state(folder)

    def run(self, *, once: bool = False) -> int:
        """Go on until a stop is asked for, or run what is due `once`; see `run_schedule`."""
        self._begin()
        if once:
            codes = self._run_due()
            if not codes:
                now = datetime.now(UTC)
                nexts = [f"{name} at {self._show(t.next_after(now))}" for name, t in self._timetables.items()]
                logger.info("Nothing is due; next: %s.", ", ".join(nexts))
            return next((code for code in codes if code not in (0, KEPT_OUT)), 0)
        logger.info("The scheduler keeps %d jobs: %s.", len(self._config.jobs), ", ".join(self._config.jobs))
        while not self.stop.is_set():
            try:
                waits = KEPT_OUT in self._run_due()
            except StorageError as error:
                logger.warning("Nothing is started until the state can be written: %s", error)
                waits = True
            to_minute = 60.0 - datetime.now(UTC).second
            self.stop.wait(self._config.retry_seconds if waits else min(to_minute, LONGEST_SLEEP))
        logger.info("The scheduler was told to stop, and has.")
        return 0

    def _begin(self) -> None:
        """Enter new jobs and those whose timetable changed; settle runs of a scheduler that was killed."""
        now, zone = datetime.now(UTC), self._config.timezone
        for name, settings in self._config.jobs.items():
            known = self._state.jobs.get(name)
            if known is None or (known.cron, known.timezone) != (settings.cron, zone):
                logger.info("Job %s is new or has another timetable: it counts from now.", name)
                known = known or JobState(cron=settings.cron, timezone=zone, settled=now)
                since = max(now, known.settled)
                self._keep(name, known, cron=settings.cron, timezone=zone, settled=since)
            elif known.settled > now + LATE:
                logger.warning(
                    "Job %s is done up to %s, but the clock shows %s: was it set back? The job runs again "
                    "after that time. To have all jobs count from now, stop the scheduler and remove %s.",
                    *(name, self._show(known.settled), self._show(now), self._folder / STATE),
                )
        for name, job in self._state.jobs.items():
            if (going := job.going) is not None:
                logger.warning(
                    "Job %s was running for %s when the scheduler was killed; how it ended is not known, its "
                    "log may tell: %s. It is not run again for that time.",
                    *(name, self._show(going.due), self._log(name)),
                )
                lost = FinishedRun(due=going.due, started=going.started, ending=Ending.LOST)
                self._keep(name, job, going=None, last=lost, settled=max(job.settled, going.due))

    def _run_due(self) -> list[int]:
        """Run each job that is due, for the newest of its times; their exit codes, 1 where there is none."""
        codes = []
        for name, timetable in self._timetables.items():
            due = timetable.newest_until(datetime.now(UTC), self._state.jobs[name].settled)
            if due is not None and not self.stop.is_set():
                codes.append(self._run(name, due))
        return codes

    def _run(self, name: str, due: datetime) -> int:
        """Run a job for its time `due`; its exit code, `KEPT_OUT` where another run holds the project.

        Raises:
            StorageError: the state cannot be written; if it was so before the start, nothing was started.
        """
        job, started, begun = self._state.jobs[name], datetime.now(UTC), time.monotonic()
        self._keep(name, job, going=GoingRun(due=due, started=started))
        late = f", missed until now ({self._show(started)})" if started - due > LATE else ""
        logger.info("Job %s starts for %s%s.", name, self._show(due), late)
        ending, code = self._execute(name, self._config.jobs[name].max_hours)
        if code == KEPT_OUT:
            logger.info("Job %s was kept out by another run; it is tried again.", name)
            self._keep(name, job, going=None)
            return code
        seconds = round(time.monotonic() - begun, 3)
        run = FinishedRun(due=due, started=started, ending=ending, exit_code=code, seconds=seconds)
        logger.info("Job %s: %s after %.1f s.", name, run.in_words(), seconds)
        passed = self._timetables[name].newest_until(datetime.now(UTC), due)
        if passed is not None:
            logger.warning("Job %s took longer than its pause: no run for %s.", name, self._show(passed))
        self._keep(name, job, going=None, last=run, settled=passed or due)
        self._clean()
        return 1 if code is None or code < 0 else code

    def _execute(self, name: str, max_hours: float) -> tuple[Ending, int | None]:
        """Run a command until it ends; it is ended where a stop is asked for or it takes too long."""
        try:
            process = self._start(name)
        except OSError as error:
            logger.error("Job %s could not be started: %s", name, error)  # noqa: TRY400  no traceback for people
            return Ending.NOT_STARTED, None
        latest = time.monotonic() + max_hours * 3600
        while True:
            try:
                return Ending.EXITED, process.wait(POLL_SECONDS)
            except subprocess.TimeoutExpired:
                if self.stop.is_set():
                    return Ending.STOPPED, self._end(process)
                if time.monotonic() > latest:
                    return Ending.TIMED_OUT, self._end(process)

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        """Start a command, its output in the log; a log that is too large is put away before.

        Raises:
            OSError: the log cannot be written, or the command not be started.
        """
        path, command = self._log(name), list(self._commands[name])
        if path.exists() and path.stat().st_size > self._config.max_log_megabytes * 1e6:
            RotatingFileHandler(path, backupCount=self._config.num_old_logs, delay=True).doRollover()
        with path.open("ab") as file:
            file.write(f"\n=== {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC  {' '.join(command)}\n".encode())
            file.flush()
            return subprocess.Popen(
                command,
                cwd=Path(command[1]).parent,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _end(self, process: subprocess.Popen[bytes]) -> int | None:
        """Ask a run to end, as Ctrl-C does, then kill it."""
        logger.info("Process %d is told to stop and gets %d s.", process.pid, self._config.stop_seconds)
        for number, seconds in ((signal.SIGINT, self._config.stop_seconds), (signal.SIGKILL, KILL_SECONDS)):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                return process.wait(seconds)
        return None

    def _clean(self) -> None:
        """Remove old runs, or the disk fills within months; that it fails is told, and stops nothing."""
        if CLEANING not in self._commands or self.stop.is_set():
            return
        if self._execute(CLEANING, CLEANING_HOURS) != (Ending.EXITED, 0):
            logger.warning("Old runs were not removed (keep_runs); why: %s", self._log(CLEANING))

    def _keep(self, name: str, job: JobState, **changes: Any) -> None:
        """Change a job's state here and on the disk.

        Raises:
            StorageError: it is not on the disk; the next change writes it too.
        """
        self._state.jobs[name] = job.model_copy(update=changes)
        write_state(self._folder, self._state)

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _show(self, moment: datetime) -> str:
        return show_moment(moment, self._zone)

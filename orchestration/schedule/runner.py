"""Monitoring and retraining by cron expression, one run at a time, for stacks that keep no schedule.

Where a stack keeps one and `use_stack` says so, see `stack_schedule.py`.

The order of writing carries every promise. A run is written down as going before its process exists, and its
time as settled once it ended; so a time is never run twice, whenever the scheduler is killed. A run that went
when the scheduler was killed is named and not run again: what took the machine down would take it down at
every start, and its next time is near. Times that were missed are answered by one run, for the newest of
them; times that pass while a job itself runs are answered by that run.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from orchestration.schedule.config import ScheduleConfig
from orchestration.schedule.process import (
    Clock,
    JobRunner,
    ProcessRunner,
    RunningJob,
    StopRequest,
    SystemClock,
    build_command,
    stop_on_signals,
)
from orchestration.schedule.state import (
    Ending,
    FinishedRun,
    GoingRun,
    JobState,
    ScheduleFiles,
    StateFile,
)
from orchestration.schedule.timetable import Timetable
from orchestration.session.environment import prepare_environment
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
CLEANING_SECONDS = 3600.0
LATE = timedelta(minutes=1)
FAILED = 1


def run_schedule(
    config: ScheduleConfig,
    paths: ProjectPaths,
    *,
    once: bool = False,
    clock: Clock | None = None,
) -> int:
    """Start the jobs when they are due, until SIGTERM or SIGINT.

    With `use_stack`, and where the active stack's orchestrator keeps schedules, all jobs are handed over to
    that and nothing is left to do here.

    Args:
        config: the jobs.
        paths: the project; its run.py is what is started.
        once: start what is due now, one after the other, and end: for cron or systemd, which call again.
        clock: where the time comes from; the machine's where None.

    Returns:
        0 when it was stopped or handed over. With `once` the first exit code of a run that is not 0.

    Raises:
        ConfigError: a job's config does not exist, or a job cannot be handed over as it is.
        RunLockedError: another scheduler is running in this project; says its process.
        StorageError: the state folder cannot be read or written.
    """
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    logging.getLogger("orchestration").setLevel(logging.INFO)
    commands = find_commands(config, paths)
    if config.use_stack and not once and _hand_over_to_stack(config, paths):
        return 0
    files = ScheduleFiles.of(paths)
    stop = StopRequest()
    runner = ProcessRunner(files.folder, paths.root, int(config.max_log_megabytes * 1e6), config.num_old_logs)
    with RunLock(files.lock, "scheduler"), stop_on_signals(stop):
        file, cleaning = StateFile(files.state), build_cleaning(config, paths)
        scheduler = Scheduler(config, commands, file, clock or SystemClock(stop), runner, stop, cleaning)
        if once:
            return scheduler.run_due()
        scheduler.run()
    return 0


def _hand_over_to_stack(config: ScheduleConfig, paths: ProjectPaths) -> bool:
    """Whether the active stack keeps the schedule from now on."""
    prepare_environment(paths)
    from orchestration.schedule.stack_schedule import find_keeper, hand_over, make_submit

    name, keeps = find_keeper()
    if not keeps:
        logger.info("Orchestrator %s of the active stack keeps no schedules, so the jobs run here.", name)
        return False
    made = hand_over(config, make_submit(config, paths))
    logger.info("Orchestrator %s keeps the schedule. New there: %s.", name, ", ".join(made) or "nothing")
    logger.info("What it keeps: zenml pipeline schedule list. Its runs: python run.py runs")
    return True


def find_commands(config: ScheduleConfig, paths: ProjectPaths) -> Mapping[str, Sequence[str]]:
    """What each job starts.

    Raises:
        ConfigError: configs that do not exist, one a line.
    """
    commands: dict[str, Sequence[str]] = {}
    faults = []
    for name, job in config.jobs.items():
        try:
            path = find_config(job.config, paths.root / "configs").resolve()
        except ConfigError as error:
            faults.append(f"jobs.{name}.config: {error}")
        else:
            commands[name] = build_command(paths.root, job.pipeline, path, job.set)
    if faults:
        raise ConfigError("\n".join(faults))
    return commands


def build_cleaning(config: ScheduleConfig, paths: ProjectPaths) -> Sequence[str] | None:
    """What removes old runs after each job, or None."""
    if config.keep_runs is None:
        return None
    return sys.executable, str(paths.root / "run.py"), "clean", "--keep", str(config.keep_runs)


def build_timetables(config: ScheduleConfig) -> dict[str, Timetable]:
    """The timetable of each job."""
    zone = ZoneInfo(config.timezone)
    return {name: Timetable(job.cron, zone) for name, job in config.jobs.items()}


class Scheduler:
    """Decides what is due, has it run, and writes down what happened.

    Args:
        config: the jobs.
        commands: what each job starts.
        file: where the state is kept; nobody else may write it meanwhile.
        clock: where the time comes from.
        runner: what starts processes.
        stop: whether to end.
        cleaning: what removes old runs after each job; None: nothing does.
    """

    def __init__(
        self,
        config: ScheduleConfig,
        commands: Mapping[str, Sequence[str]],
        file: StateFile,
        clock: Clock,
        runner: JobRunner,
        stop: StopRequest,
        cleaning: Sequence[str] | None = None,
    ) -> None:
        self._config = config
        self._commands = commands
        self._file = file
        self._clock = clock
        self._runner = runner
        self._stop = stop
        self._cleaning = cleaning
        self._timetables = build_timetables(config)
        self._zone = ZoneInfo(config.timezone)
        self._state = file.read_or_set_aside(clock.now())
        self._is_written = True
        self._survivor = runner.survivor()
        self._warned_of: set[datetime] = set()

    def run(self) -> None:
        """Go on until asked to stop; a disk that is full stops nothing for good.

        Raises:
            StorageError: at the end, the state cannot be written.
        """
        self._begin()
        logger.info("The scheduler keeps %d jobs: %s.", len(self._config.jobs), ", ".join(self._config.jobs))
        while not self._stop.requested:
            try:
                pause = self._take_turn()
            except StorageError as error:
                logger.warning("Nothing is started until the state can be written: %s", error)
                pause = float(self._config.retry_seconds)
            self._clock.sleep(pause)
        if self._survivor is not None:
            self._end(self._survivor)
            self._settle_lost()
        self._write()
        logger.info("The scheduler was told to stop, and has.")

    def run_due(self) -> int:
        """Run what is due at this moment; the first exit code that is not 0, 1 for a run without one.

        Raises:
            StorageError: the state cannot be written.
        """
        self._begin()
        self._write()
        if self._survivor is not None:
            return 0
        codes = []
        for _, name in sorted(self._find_due(self._clock.now())):
            due = self._newest_due(name)
            if due is not None and not self._stop.requested:
                codes.append(self._run(name, due))
        self._write()
        if not codes and not self._stop.requested:
            self._tell_next()
        return next((code if code > 0 else FAILED for code in codes if code != 0), 0)

    # --- one turn ---

    def _begin(self) -> None:
        """Enter jobs that are new or count otherwise than before, and see what a dead scheduler left."""
        now = self._clock.now()
        for name, settings in self._config.jobs.items():
            known = self._state.jobs.get(name)
            if known is None:
                known = JobState(cron=settings.cron, timezone=self._config.timezone, settled=now)
                logger.info("Job %s is new: it counts from now.", name)
            elif (known.cron, known.timezone) != (settings.cron, self._config.timezone):
                logger.info("Job %s has another timetable (%s): it counts from now.", name, settings.cron)
                changes = {"cron": settings.cron, "timezone": self._config.timezone}
                known = known.model_copy(
                    update={
                        **changes,
                        "settled": max(now, known.settled),
                        "num_refusals": 0,
                        "retry_at": None,
                    }
                )
            self._keep(name, known)
        if self._survivor is None:
            self._settle_lost()
        else:
            logger.warning(
                "A run (process %d) of a scheduler that was killed is still running. Nothing is started "
                "before it ends.",
                self._survivor.pid,
            )

    def _take_turn(self) -> float:
        """Do what there is to do; the seconds after which to look again."""
        if not self._is_written:
            self._write()
        if self._survivor is not None:
            if not self._survivor.wait(POLL_SECONDS):
                return 0.0
            self._survivor = None
            self._settle_lost()
        now = self._clock.now()
        due = min(self._find_due(now), default=None)
        if due is not None:
            self._run(due[1], due[0])
            return 0.0
        self._warn_of_clock(now)
        wake = min(self._next_look(name, now) for name in self._config.jobs)
        return min((wake - now).total_seconds(), LONGEST_SLEEP)

    def _find_due(self, now: datetime) -> Iterator[tuple[datetime, str]]:
        for name in self._config.jobs:
            due = self._newest_due(name)
            if due is not None and not self._waits(name, now):
                yield due, name

    def _newest_due(self, name: str) -> datetime | None:
        return self._timetables[name].newest_until(self._clock.now(), self._state.jobs[name].settled)

    def _waits(self, name: str, now: datetime) -> bool:
        """Whether the job is between two tries; a pause that the clock made longer is over."""
        retry_at = self._state.jobs[name].retry_at
        return retry_at is not None and now < retry_at <= now + timedelta(seconds=self._config.retry_seconds)

    def _next_look(self, name: str, now: datetime) -> datetime:
        """When the job is due; later than `now`, since nothing is due now."""
        job = self._state.jobs[name]
        if job.retry_at is not None and self._waits(name, now):
            return job.retry_at
        return self._timetables[name].next_after(job.settled)

    def _tell_next(self) -> None:
        now = self._clock.now()
        looks = sorted((self._next_look(name, now), name) for name in self._config.jobs)
        told = ", ".join(f"{name} at {self._show(moment)}" for moment, name in looks)
        logger.info("Nothing is due; next: %s.", told)

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
                    self._file.path,
                )

    # --- one run ---

    def _run(self, name: str, due: datetime) -> int:
        """Run a job for its time `due`; its exit code, 0 when it was kept out and is tried again."""
        started, begun = self._clock.now(), self._clock.elapsed()
        self._mark(name, GoingRun(due=due, started=started))
        late = f", missed until now ({self._show(started)})" if started - due > LATE else ""
        logger.info("Job %s starts for %s%s.", name, self._show(due), late)
        try:
            job = self._runner.start(name, self._commands[name])
        except RunLockedError as error:
            logger.warning("Job %s waits: %s", name, error)
            return self._postpone(name, due, started)
        except (OSError, StorageError):
            logger.exception("Job %s could not be started.", name)
            return self._settle(name, FinishedRun(due=due, started=started, ending=Ending.NOT_STARTED))
        ending = self._watch(job, begun, self._config.jobs[name].max_hours * 3600)
        if ending is Ending.EXITED and self._was_kept_out(job):
            return self._postpone(name, due, started)
        seconds = round(self._clock.elapsed() - begun, 3)
        finished = FinishedRun(
            due=due, started=started, ending=ending, exit_code=job.exit_code, seconds=seconds
        )
        code = self._settle(name, finished)
        if not self._stop.requested:
            self._clean()
        return code

    def _clean(self) -> None:
        """Remove old runs, or the disk would fill within months; that it fails is told, and stops nothing."""
        if self._cleaning is None:
            return
        try:
            job = self._runner.start(CLEANING, self._cleaning)
        except (OSError, StorageError, RunLockedError) as error:
            logger.warning("Old runs were not removed: %s", error)
            return
        ending = self._watch(job, self._clock.elapsed(), CLEANING_SECONDS)
        if ending is not Ending.EXITED or job.exit_code != 0:
            log = self._file.path.with_name(f"{CLEANING}.log")
            logger.warning("Old runs were not removed (keep_runs); why: %s", log)

    def _mark(self, name: str, going: GoingRun) -> None:
        """Write down that a run starts; where that fails nothing may start."""
        job = self._state.jobs[name].model_copy(update={"going": going})
        state = self._state.with_job(name, job)
        self._file.write(state)
        self._state = state

    def _watch(self, job: RunningJob, begun: float, most_seconds: float) -> Ending:
        while not job.wait(POLL_SECONDS):
            if self._stop.requested:
                self._end(job)
                return Ending.STOPPED
            if self._clock.elapsed() - begun > most_seconds:
                self._end(job)
                return Ending.TIMED_OUT
        return Ending.EXITED

    def _end(self, job: RunningJob) -> None:
        """Ask a run to end, then make it."""
        logger.info("The run (process %d) is told to stop and gets %d s.", job.pid, self._config.stop_seconds)
        job.interrupt()
        if job.wait(self._config.stop_seconds):
            return
        job.kill()
        if not job.wait(KILL_SECONDS):
            logger.error("Process %d goes on after SIGKILL; find out why: ps -fp %d", job.pid, job.pid)

    def _was_kept_out(self, job: RunningJob) -> bool:
        if job.exit_code != RunLockedError.exit_code:
            return False
        try:
            return job.was_kept_out()
        except StorageError as error:
            logger.warning("Why the run failed cannot be told: %s", error)
            return False

    def _postpone(self, name: str, due: datetime, started: datetime) -> int:
        """Another run held the project's lock: try again after a pause, a bounded number of times."""
        job = self._state.jobs[name]
        if job.num_refusals >= self._config.max_retries:
            finished = FinishedRun(
                due=due, started=started, ending=Ending.KEPT_OUT, exit_code=RunLockedError.exit_code
            )
            return self._settle(name, finished)
        pause = self._config.retry_seconds
        logger.info("Job %s was kept out by another run; it is tried again in %d s.", name, pause)
        changes = {
            "going": None,
            "num_refusals": job.num_refusals + 1,
            "retry_at": self._clock.now() + timedelta(seconds=pause),
        }
        self._keep(name, job.model_copy(update=changes))
        return 0

    def _settle(self, name: str, run: FinishedRun) -> int:
        """Write down how a run ended; the times that passed meanwhile are answered by it."""
        passed = self._timetables[name].newest_until(self._clock.now(), run.due)
        self._keep(name, _finish(self._state.jobs[name], run, settled=passed or run.due))
        took = "" if run.seconds is None else f" after {run.seconds:.1f} s"
        logger.info("Job %s: %s%s.", name, run.in_words(), took)
        if passed is not None:
            logger.warning(
                "Job %s took longer than its pause; it is not run for %s.", name, self._show(passed)
            )
        return FAILED if run.exit_code is None else run.exit_code

    def _settle_lost(self) -> None:
        """Name the run that went when its scheduler was killed. It is not run again."""
        for name, job in self._state.jobs.items():
            if job.going is None:
                continue
            lost = FinishedRun(due=job.going.due, started=job.going.started, ending=Ending.LOST)
            self._keep(name, _finish(job, lost, settled=max(job.settled, lost.due)))
            logger.warning(
                "Job %s was running for %s when the scheduler was killed; how it ended is not known, its "
                "log may tell: %s. It is not run again for that time.",
                name,
                self._show(lost.due),
                self._file.path.with_name(f"{name}.log"),
            )

    # --- the state ---

    def _keep(self, name: str, job: JobState) -> None:
        """Change a job's state; where the disk refuses, it is remembered and written later."""
        self._state = self._state.with_job(name, job)
        try:
            self._write()
        except StorageError as error:
            self._is_written = False
            logger.warning("The state of job %s is not written yet: %s", name, error)

    def _write(self) -> None:
        self._file.write(self._state)
        self._is_written = True

    def _show(self, moment: datetime) -> str:
        return f"{moment.astimezone(self._zone):%Y-%m-%d %H:%M %Z}"


def _finish(job: JobState, run: FinishedRun, settled: datetime) -> JobState:
    changes = {"going": None, "last": run, "settled": settled, "num_refusals": 0, "retry_at": None}
    return job.model_copy(update=changes)

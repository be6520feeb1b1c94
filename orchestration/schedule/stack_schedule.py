"""Schedules that the orchestrator of the active stack keeps itself (Kubernetes and the like).

The embedded local orchestrator has none; see `schedule.py`. Handed over is not monitoring or retraining
itself, whose inputs (champion, last verdict, time) would be frozen at this moment, but a pipeline of one step
that runs the command line each time. Where it runs it needs the project's code (ZenML's image holds it), and
TAXON_STATE on a disk that outlives the run. Handing over to a cluster was never run here: tested is the
question to the stack, what is handed over, and that a failed submission leaves nothing behind.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from uuid import UUID

from zenml.client import Client
from zenml.config.schedule import Schedule

from orchestration.schedule.config import JobSettings, ScheduleConfig
from orchestration.schedule.process import build_command
from orchestration.session.paths import ProjectPaths
from vision.base.errors import ConfigError
from vision.config.loading import find_config

logger = logging.getLogger(__name__)

Submit = Callable[[str, Schedule], None]
"""Submits the job of a name, as `pipeline.with_options(schedule=schedule)(...)` does."""


def find_keeper() -> tuple[str, bool]:
    """Name of the active stack's orchestrator, and whether it starts pipelines by cron expression itself."""
    orchestrator = Client().active_stack.orchestrator
    return orchestrator.name, bool(orchestrator.config.is_schedulable)


def make_submit(config: ScheduleConfig, paths: ProjectPaths) -> Submit:
    """What submits a job as a pipeline that runs the command line.

    Raises:
        ConfigError: a job's config lies outside the project, where a job that runs elsewhere cannot read it.
    """
    from pipelines.scheduled import scheduled

    arguments = {name: _build_arguments(name, job, paths) for name, job in config.jobs.items()}

    def submit(name: str, schedule: Schedule) -> None:
        max_hours = config.jobs[name].max_hours
        scheduled.with_options(schedule=schedule)(arguments[name], max_hours, config.stop_seconds)

    return submit


def _build_arguments(name: str, job: JobSettings, paths: ProjectPaths) -> list[str]:
    """The command line of a job, with its config as the project's folder calls it."""
    path = find_config(job.config, paths.root / "configs").resolve()
    if not path.is_relative_to(paths.root):
        raise ConfigError(
            f"jobs.{name}.config is {path}, outside the project {paths.root}. The orchestrator runs the job "
            "elsewhere, with the project's files alone. Put it into configs/."
        )
    relative = path.relative_to(paths.root)
    return list(build_command(paths.root, job.pipeline, relative, job.set)[2:])


def hand_over(config: ScheduleConfig, submit: Submit) -> tuple[str, ...]:
    """Submit every job with its expression; the names of the schedules that were made.

    A job whose schedule exists is left as it is. One whose expression was edited since is refused before
    anything is handed over: not every orchestrator can change a schedule, and ZenML leaves it with a warning.

    Raises:
        ConfigError: the expressions are meant for another zone than UTC, which ZenML's schedules cannot say;
            or a schedule exists with another expression.
    """
    if config.timezone != "UTC":
        raise ConfigError(
            f"timezone is {config.timezone}, but the orchestrator's own schedules count in UTC. Write the "
            "cron expressions in UTC and set timezone: UTC."
        )
    _refuse_edited(config)
    made = []
    for name, job in config.jobs.items():
        schedule = Schedule(name=_name(name), cron_expression=job.cron)
        if _find(schedule):
            logger.warning("Schedule %s exists already and is left as it is.", schedule.name)
            continue
        try:
            submit(name, schedule)
        except Exception:
            # ZenML enters a schedule before it submits: left there, it would pass for one that works.
            for schedule_id in _find(schedule):
                Client().zen_store.delete_schedule(schedule_id, soft=False)
            raise
        made.append(str(schedule.name))
    return tuple(made)


def _refuse_edited(config: ScheduleConfig) -> None:
    """Raise ConfigError if a job was handed over with another expression, with a line for each."""
    faults = [
        f"jobs.{name}.cron is {job.cron!r}, but the orchestrator keeps schedule {found.name} with "
        f"{found.cron_expression!r}. Delete that one, then hand over again: zenml pipeline schedule delete "
        f"{found.name}"
        for name, job in config.jobs.items()
        for found in Client().list_schedules(name=_name(name))
        if found.cron_expression != job.cron
    ]
    if faults:
        raise ConfigError("\n".join(faults))


def _name(job: str) -> str:
    return f"taxon-{job}"


def _find(schedule: Schedule) -> list[UUID]:
    return [found.id for found in Client().list_schedules(name=schedule.name)]

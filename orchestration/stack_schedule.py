"""Schedules that the orchestrator of the active stack keeps itself (Kubernetes and the like).

The embedded local orchestrator has none; see `schedule.py`. Handing over to a cluster was never run here:
tested is the question to the stack, what is handed over, and that a failed submission leaves nothing behind.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from uuid import UUID

from zenml.client import Client
from zenml.config.schedule import Schedule

from orchestration.schedule_config import JobSettings, ScheduleConfig
from vision.errors import ConfigError

logger = logging.getLogger(__name__)

Submit = Callable[[JobSettings, Schedule], None]
"""Submits a job's pipeline, as `pipeline.with_options(schedule=schedule)(...)` does."""


def orchestrator_keeps_schedules() -> bool:
    """Whether the active stack's orchestrator starts pipelines by cron expression itself."""
    return bool(Client().active_stack.orchestrator.config.is_schedulable)


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
            submit(job, schedule)
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

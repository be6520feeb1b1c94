"""`run.py schedule`: pipelines by cron expressions; imports no ZenML."""

from __future__ import annotations

from argparse import Namespace

from orchestration.commands.command import Command, argument, find_config_file
from orchestration.schedule.config import ScheduleConfig
from orchestration.session.paths import ProjectPaths
from vision.config.reading.loading import load_settings


def _schedule(options: Namespace, paths: ProjectPaths) -> int:
    config = load_settings(ScheduleConfig, find_config_file(options, paths), options.overrides)
    if options.status:
        from orchestration.schedule.state import print_status

        return print_status(config, paths)
    from orchestration.schedule.runner import run_schedule

    return run_schedule(config, paths, once=options.once)


SCHEDULE = Command(
    "schedule",
    "start pipelines by cron expressions until stopped",
    _schedule,
    (
        argument("--status", action="store_true", help="what was done and is next"),
        argument("--once", action="store_true", help="run what is due now and end"),
    ),
    config="needed",
    stoppable=False,
)

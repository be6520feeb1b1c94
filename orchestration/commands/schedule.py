"""`run.py schedule`: pipelines by cron expressions; imports no ZenML."""

from __future__ import annotations

from argparse import Namespace

from orchestration.commands.command import Command, argument
from orchestration.schedule.config import ScheduleConfig
from orchestration.session.paths import ProjectPaths
from vision.config.reading.loading import find_config, load_settings
from vision.config.reading.yaml_text import parse_yaml, read_text

SHIPPED = "schedule.yaml"


def read_schedule(options: Namespace, paths: ProjectPaths) -> ScheduleConfig:
    """The schedule that was named; of a run's config the jobs of schedule.yaml, with that config in each.

    Their names end with that of the config, so that the times of two models are kept apart.

    Raises:
        ConfigError: there is no such file, or something in it is wrong.
    """
    configs = paths.root / "configs"
    path = find_config(options.config or SHIPPED, configs)
    tree = parse_yaml(read_text(path), str(path))
    if not isinstance(tree, dict) or "dataset" not in tree:
        return load_settings(ScheduleConfig, path, options.overrides)
    config = load_settings(ScheduleConfig, find_config(SHIPPED, configs), options.overrides)
    own = {
        f"{name}-{path.stem}": job.model_copy(update={"config": options.config})
        for name, job in config.jobs.items()
    }
    return config.model_copy(update={"jobs": own})


def _schedule(options: Namespace, paths: ProjectPaths) -> int:
    config = read_schedule(options, paths)
    if options.status:
        from orchestration.schedule.state import print_status

        return print_status(config, paths)
    from orchestration.schedule.runner import run_schedule

    return run_schedule(config, paths, once=options.once)


SCHEDULE = Command(
    "schedule",
    "start the jobs of schedule.yaml by the clock, for NAME or for the configs named there",
    _schedule,
    (
        argument("--status", action="store_true", help="what was done and is next"),
        argument("--once", action="store_true", help="run what is due now and end"),
    ),
    config="optional",
    stoppable=False,
)

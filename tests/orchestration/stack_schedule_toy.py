"""What a real ZenML store says to schedules: python -m tests.orchestration.stack_schedule_toy FILE."""

import json
import sys
from pathlib import Path

from orchestration.environment import prepare_environment
from orchestration.paths import ProjectPaths

PATHS = ProjectPaths.of(Path(__file__).resolve().parents[2])
prepare_environment(PATHS)

from zenml import pipeline, step  # noqa: E402  the environment comes first
from zenml.client import Client  # noqa: E402
from zenml.config.schedule import Schedule  # noqa: E402
from zenml.enums import StackComponentType  # noqa: E402
from zenml.models import ScheduleRequest  # noqa: E402

from orchestration import stack_schedule  # noqa: E402
from orchestration.schedule import run_schedule  # noqa: E402
from orchestration.schedule_config import JobSettings, ScheduleConfig  # noqa: E402
from orchestration.stack_schedule import hand_over, orchestrator_keeps_schedules  # noqa: E402
from vision.errors import ConfigError  # noqa: E402

WATCH = {"pipeline": "monitoring", "config": "fast.yaml", "cron": "0 3 * * *"}
CONFIG = ScheduleConfig.model_validate({"jobs": {"watch": WATCH}})


@step
def nothing() -> None:
    """Do nothing."""


@pipeline
def empty() -> None:
    """Hold one step."""
    nothing()


def submit(_: JobSettings, schedule: Schedule) -> None:
    """Submit as launching does."""
    empty.with_options(schedule=schedule)()


def enter(schedule: Schedule) -> None:
    """Enter a schedule into the store, as ZenML does before it submits to a cluster."""
    client = Client()
    orchestrator = client.active_stack_model.components[StackComponentType.ORCHESTRATOR][0]
    request = ScheduleRequest(
        project=client.active_project.id,
        pipeline_id=empty.register().id,
        orchestrator_id=orchestrator.id,
        name=str(schedule.name),
        active=True,
        cron_expression=schedule.cron_expression,
    )
    client.zen_store.create_schedule(request)


def enter_and_fail(_: JobSettings, schedule: Schedule) -> None:
    """Fail after the schedule was entered, as where an image cannot be built."""
    enter(schedule)
    raise OSError("no image")


def names() -> list[list[str]]:
    """Schedules in the store."""
    return [[found.name, str(found.cron_expression)] for found in Client().list_schedules()]


def play() -> dict[str, object]:
    """All that is seen, in order."""
    seen: dict[str, object] = {"keeps": orchestrator_keeps_schedules()}
    for name, attempt in (("local", submit), ("failed", enter_and_fail)):
        try:
            hand_over(CONFIG, attempt)
        except (ValueError, OSError) as error:
            seen[name] = str(error)
        seen[f"{name}_left"] = names()
    stack_schedule.orchestrator_keeps_schedules = lambda: True  # as on Kubernetes
    seen["made"] = run_schedule(CONFIG, PATHS, submit=lambda _, schedule: enter(schedule))
    seen["again"] = hand_over(CONFIG, lambda _, schedule: enter(schedule))
    seen["entered"] = names()
    both = {"watch": WATCH | {"cron": "0 4 * * *"}, "other": WATCH}
    edited = ScheduleConfig.model_validate({"jobs": both})
    try:
        hand_over(edited, lambda _, schedule: enter(schedule))
    except ConfigError as error:
        seen["edited"] = str(error)
    seen["edited_left"] = names()
    Client().delete_schedule("taxon-watch")  # as the command that the message names does
    seen["edited_again"] = hand_over(edited, lambda _, schedule: enter(schedule))
    seen["edited_entered"] = names()
    return seen


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(play()), encoding="utf-8")

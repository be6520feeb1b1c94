"""What a real ZenML store says to schedules: python -m tests.orchestration.schedule.stack_schedule_toy FILE.

Afterwards a stack whose orchestrator keeps schedules is the active one.
"""

import json
import sys
from pathlib import Path

from orchestration.session.environment import prepare_environment
from orchestration.session.paths import ProjectPaths

PATHS = ProjectPaths.of(Path(__file__).resolve().parents[3])
prepare_environment(PATHS)

from zenml import pipeline, step  # noqa: E402  the environment comes first
from zenml.client import Client  # noqa: E402
from zenml.config.schedule import Schedule  # noqa: E402
from zenml.enums import StackComponentType  # noqa: E402
from zenml.models import ScheduleRequest  # noqa: E402

from orchestration.schedule.config import ScheduleConfig  # noqa: E402
from orchestration.schedule.stack_schedule import find_keeper, hand_over, make_submit  # noqa: E402
from pipelines.scheduled import scheduled  # noqa: E402
from vision.base.errors import ConfigError, JobError  # noqa: E402

WATCH = {"pipeline": "monitoring", "config": "fast.yaml", "cron": "0 3 * * *"}
CONFIG = ScheduleConfig.model_validate({"jobs": {"watch": WATCH}})


@step
def nothing() -> None:
    """Do nothing."""


@pipeline
def empty() -> None:
    """Hold one step."""
    nothing()


def enter_and_fail(_: str, schedule: Schedule) -> None:
    """Fail after the schedule was entered, as where an image cannot be built."""
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
    raise OSError("no image")


def activate_keeper() -> None:
    """Make a stack whose orchestrator keeps schedules the active one."""
    client, kind = Client(), StackComponentType.ORCHESTRATOR
    store = client.active_stack_model.components[StackComponentType.ARTIFACT_STORE][0]
    client.create_flavor("tests.orchestration.schedule.keeping_orchestrator.KeepingFlavor", kind)
    keeper = client.create_stack_component("keeper", "keeping", kind, configuration={})
    client.create_stack("keeping", {kind: keeper.id, StackComponentType.ARTIFACT_STORE: store.id})
    client.activate_stack("keeping")


def names() -> list[list[str]]:
    """Schedules in the store."""
    return [[found.name, str(found.cron_expression)] for found in Client().list_schedules()]


def play() -> dict[str, object]:
    """All that is seen, in order."""
    seen: dict[str, object] = {"local_keeps": find_keeper()}
    for name, attempt in (("local", make_submit(CONFIG, PATHS)), ("failed", enter_and_fail)):
        try:
            hand_over(CONFIG, attempt)
        except (ValueError, OSError) as error:
            seen[name] = str(error)
        seen[f"{name}_left"] = names()
    activate_keeper()
    seen["keeps"] = find_keeper()
    seen["made"] = hand_over(CONFIG, make_submit(CONFIG, PATHS))
    seen["again"] = hand_over(CONFIG, make_submit(CONFIG, PATHS))
    seen["entered"] = names()
    both = {"watch": WATCH | {"cron": "0 4 * * *"}, "other": WATCH}
    edited = ScheduleConfig.model_validate({"jobs": both})
    try:
        hand_over(edited, make_submit(edited, PATHS))
    except ConfigError as error:
        seen["edited"] = str(error)
    seen["edited_left"] = names()
    Client().delete_schedule("taxon-watch")  # as the command that the message names does
    seen["edited_again"] = hand_over(edited, make_submit(edited, PATHS))
    seen["edited_entered"] = names()
    seen["handed"] = {
        snapshot.schedule.name: snapshot.step_configurations["run_command"].config.parameters
        for snapshot in Client().list_snapshots(hydrate=True, named_only=False)
        if snapshot.schedule
    }
    try:  # as the orchestrator does when the time has come
        scheduled(["--pipeline", "monitoring", "--config", "configs/fast.yaml"], 1.0, 30)
    except JobError as error:
        seen["job"] = str(error)
    return seen


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(play()), encoding="utf-8")

"""Runs whose process was killed are marked failed: to ZenML they are running, but nobody holds the run lock.

The same holds in a copy of a project for the run that was going in the original; only the copy's own database
is changed. Finished steps stay, so that the next run takes them from the cache.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from zenml.client import Client
from zenml.enums import ExecutionStatus
from zenml.orchestrators import publish_utils
from zenml.utils.pagination_utils import depaginate

from orchestration.session.paths import ProjectPaths
from orchestration.store.rows import WITH_FOLDER

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse

UNFINISHED = "oneof:" + json.dumps([status.value for status in ExecutionStatus if not status.is_finished])
REASON = (
    "The process of this run was killed before it ended, or the project was copied while it was going. Its "
    "finished steps are reused by the next run."
)


def reap_dead_runs() -> tuple[str, ...]:
    """Mark every unfinished run and its unfinished steps failed; the names of these runs, oldest first.

    A run all of whose steps were done when its process was killed is marked completed instead. To be called
    with the run lock held. On a shared ZenML server nothing is touched: others run there.
    """
    client = Client()
    if not client.zen_store.is_local_store():
        return ()
    unfinished = depaginate(client.list_pipeline_runs, status=UNFINISHED, sort_by="asc:created", hydrate=True)
    dead = [run for run in unfinished if not _is_done(run)]
    for run in unfinished:
        if run not in dead:
            publish_utils.publish_pipeline_run_status_update(run.id, ExecutionStatus.COMPLETED)
    for run in dead:
        for step_run in depaginate(client.list_run_steps, pipeline_run_id=run.id, status=UNFINISHED):
            publish_utils.publish_failed_step_run(step_run.id)
        publish_utils.publish_pipeline_run_status_update(run.id, ExecutionStatus.FAILED, REASON)
    return tuple(run.name for run in dead)


def _is_done(run: PipelineRunResponse) -> bool:
    """Whether every step of a run came to its end."""
    steps = run.snapshot.step_configurations if run.snapshot else {}
    done = {name for name, step in run.steps.items() if step.status.is_successful}
    return bool(steps) and done == set(steps)


def find_unwritten(paths: ProjectPaths) -> tuple[str, ...]:
    """Name of the newest run if it ended and has no run folder: its process was killed before it wrote it.

    To be called with the run lock held. On a shared ZenML server the newest run may be another project's.
    """
    client = Client()
    if not client.zen_store.is_local_store():
        return ()
    newest = client.list_pipeline_runs(sort_by="desc:created", size=1).items
    return tuple(
        run.name
        for run in newest
        if run.status.is_finished
        and run.pipeline
        and run.pipeline.name in WITH_FOLDER
        and not (paths.runs / run.name / "summary.json").is_file()
    )

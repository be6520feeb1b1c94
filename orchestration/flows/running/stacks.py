"""A DAG on a stack of the user's, such as pods of a cluster, in place of this process.

ZenML has the stack by its name (`deploy/stacks/README.md`). Only the DAG runs there: what a run is prepared
from, its folder and its service stay on this machine.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orchestration.flows.running.stack_checks import HANDBOOK, find_stack
from orchestration.session.steps import describe_step
from pipelines.names import PipelineName
from vision.base import errors
from vision.base.errors import ExecutorError, TaxonError
from vision.base.progress import in_words
from vision.config.run import RunConfig

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse

logger = logging.getLogger(__name__)

VARIABLE = "ZENML_ACTIVE_STACK_ID"
ORCHESTRATOR = "zenml.integrations.kubernetes.kube_utils"
"""Logger that passes on what the orchestrator's pod prints: its only sign of what a pod waits for."""
EVENT = re.compile(
    r"(?:Node|Job for step|Using cached version of step) `(?P<step>\w+)`"
    r"(?: (?P<event>started|completed|is pending|failed))?(?:: (?P<why>.+))?"
)


def options_of(pipeline: str, config: RunConfig) -> dict[str, Any]:
    """The options of `Pipeline.with_options` by which its steps get image and pods of the configuration."""
    from zenml.config import DockerSettings

    cluster = config.cluster
    waiting = {key: value for key, value in cluster.pod.items() if key != "resources"}
    train = {"pod_settings": {**cluster.pod, **cluster.train}}
    step: dict[str, Any] = {"settings": {"orchestrator.kubernetes": train}}
    if cluster.step_operator:  # the orchestrator's own pod only waits for that of the step operator
        settings = {"orchestrator.kubernetes": {"pod_settings": waiting}, "step_operator.kubernetes": train}
        step = {"settings": settings, "step_operator": cluster.step_operator}
    pods = {"pod_settings": cluster.pod, "orchestrator_pod_settings": waiting}
    options: dict[str, Any] = {"orchestrator.kubernetes": pods}
    if cluster.image:  # the image holds the code, so that what runs is what its cache keys say
        options["docker"] = DockerSettings(
            parent_image=cluster.image,
            skip_build=True,
            allow_download_from_artifact_store=False,
            allow_download_from_code_repository=False,
        )
    return {"settings": options, "steps": dict.fromkeys(_training_steps(pipeline, config), step)}


def _training_steps(pipeline: str, config: RunConfig) -> tuple[str, ...]:
    """Names of the steps of a DAG that train networks."""
    if pipeline == PipelineName.TUNING:
        return ("tune",)
    return (
        () if pipeline == PipelineName.RETRAINING else tuple(f"train_{n}" for n in config.training.candidates)
    )


def run_on_stack(
    name: str, run_name: str, run_pipeline: Callable[[], object], count_steps: Callable[[], int]
) -> None:
    """Run a DAG on a stack and wait for its end.

    Args:
        name: of the stack.
        run_name: of the run.
        run_pipeline: starts it and waits.
        count_steps: how many steps the DAG has; asked once it runs.

    Raises:
        TaxonError: a step raised it on its machine.
        ExecutorError: a step ended outside its own code, or the stack cannot be watched any more.
        KeyboardInterrupt: who watches it was stopped; says that the run goes on.
        RuntimeError: a step raised something else.
    """
    teller, source = _Teller(count_steps), logging.getLogger(ORCHESTRATOR)
    source.setLevel(logging.INFO)
    source.addFilter(teller)
    try:
        with _active(name):
            run_pipeline()
    except TaxonError:
        raise
    except KeyboardInterrupt as stop:
        told = f"Run {run_name} goes on on stack {name}. {_what_to_type(run_name)}"
        raise KeyboardInterrupt(told) from stop
    except Exception as error:
        failure = _find_failure(run_name)
        if failure is None and (run := _find_run(run_name)) is not None and not run.status.is_finished:
            failure = ExecutorError(
                f"Stack {name} cannot be watched any more: {error}. Expected an answer. Run {run_name} may "
                f"go on there. {_what_to_type(run_name)}"
            )
        raise (failure or error) from error
    finally:
        source.removeFilter(teller)
    failure = _find_failure(run_name)
    if failure is not None:
        raise failure


def _what_to_type(run_name: str) -> str:
    return (
        f"Once it has ended, python run.py report --run {run_name} writes its folder; zenml pipeline runs "
        f"stop {run_name} ends it."
    )


@contextmanager
def _active(name: str) -> Iterator[None]:
    former = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(find_stack(name).id)
    try:
        yield
    finally:
        if former is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = former


class _Teller(logging.Filter):
    """Says which steps start, wait and end in their pods, as the orchestrator's log has it."""

    def __init__(self, count_steps: Callable[[], int]) -> None:
        super().__init__()
        self._count_steps = count_steps
        self._began: dict[str, float] = {}
        self._ended: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """True: every record goes on; what it says of a step is told."""
        found = EVENT.search(record.getMessage())
        if found:
            self._tell(found["step"], found["event"], found["why"])
        return True

    def _tell(self, name: str, event: str | None, why: str | None) -> None:
        words = describe_step(name).words
        if why:
            logger.warning("           %s %s: %s", words, "waits" if event == "is pending" else event, why)
        elif event == "started" and name not in self._ended:
            self._began[name] = time.monotonic()
            logger.info("           %s ...", words)
        elif event != "started" and name not in self._ended:
            self._ended.add(name)
            began = self._began.get(name)
            how = "cached" if began is None else in_words(time.monotonic() - began)
            logger.info("  %d of %d  %s (%s)", len(self._ended), self._count_steps(), words, how)


def _find_run(run_name: str) -> PipelineRunResponse | None:
    from zenml.client import Client

    runs = Client().list_pipeline_runs(name=run_name, hydrate=True).items
    return runs[0] if runs else None


def _find_failure(run_name: str) -> Exception | None:
    """What ended a run that failed in its first failed step, of its own class if it is Taxon's."""
    run = _find_run(run_name)
    if run is None or not run.status.is_finished or run.status.is_successful:
        return None
    name, step = next(((n, each) for n, each in run.steps.items() if each.status.is_failed), ("", None))
    info = step.exception_info if step else None
    if info is None:
        return ExecutorError(
            f"Run {run_name} ended {run.status.value}: "
            + (f"step {name}" if step else "a pod")
            + " was stopped or never started. Expected pods that come to their end. Why stands above, in "
            f"ZenML's dashboard, or in: kubectl get events (see {HANDBOOK})"
        )
    kind = getattr(errors, str(info.source).rpartition(".")[2], None)
    if isinstance(kind, type) and issubclass(kind, TaxonError):
        return kind(info.message or "")
    logger.error("Step %s failed on its machine.\n%s", name, info.traceback)
    return RuntimeError(f"step {name} failed: {info.message}")

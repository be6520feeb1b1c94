"""A DAG on a stack of the user's, such as pods of a cluster, in place of this process.

ZenML has the stack by its name (`deploy/stacks/README.md`). Only the DAG runs there: what a run is prepared
from, its folder and its service stay on this machine.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from orchestration.session.steps import describe_step
from pipelines.names import PipelineName
from vision.base import errors
from vision.base.errors import ConfigError, RunLockedError, StorageError, TaxonError
from vision.base.files import storage_errors
from vision.base.progress import in_words
from vision.base.wording import join_words
from vision.config.cluster import ClusterSettings
from vision.config.run import RunConfig

if TYPE_CHECKING:
    from zenml.models import StackResponse
    from zenml.stack import Stack

logger = logging.getLogger(__name__)

HANDBOOK = "deploy/stacks/README.md"
VARIABLE = "ZENML_ACTIVE_STACK_ID"
POLL_SECONDS = 3.0
PACKAGES = {"kubernetes": ("kubernetes",), "s3": ("s3fs", "boto3")}
"""Flavour of a component -> packages beyond requirements.txt that it imports."""


def check_stack(name: str, config: RunConfig) -> None:
    """Refuse a stack on which the run would fail, before anything is read.

    Raises:
        ConfigError: there is no such stack, a part of it is missing, or its pods are not described.
        StorageError: its artifact store cannot be written.
        RunLockedError: a run of this data set is going on it.
    """
    from zenml.client import Client
    from zenml.exceptions import StackValidationError
    from zenml.stack import Stack

    model = _find(name)
    _check_packages(model)
    stack = Stack.from_model(model)
    if stack.requires_remote_server and Client().zen_store.is_local_store():
        raise ConfigError(
            f"Stack {name} runs on other machines, but the runs are kept in this project's own database, "
            "which they cannot reach. Expected a ZenML server. Name it: export ZENML_STORE_URL=https://... "
            f"ZENML_STORE_API_KEY=... (see {HANDBOOK})"
        )
    try:
        stack.validate(fail_if_secrets_missing=True)
    except StackValidationError as error:
        raise ConfigError(f"Stack {name} is not complete: {error}. See {HANDBOOK}") from error
    if stack.orchestrator.flavor == "kubernetes":
        _check_pods(config.cluster)
    _check_store(stack)
    _check_others(model, config)


def run_on_stack(name: str, run_name: str, run_pipeline: Callable[[], object]) -> None:
    """Run a DAG on a stack and wait for its end.

    Raises:
        TaxonError: a step raised it on its machine.
        RuntimeError: the run failed otherwise.
    """
    from zenml.client import Client

    try:
        with _active(name), _told_steps(run_name):
            run_pipeline()
    except TaxonError:
        raise
    except Exception as error:
        raise (_find_failure(run_name) or error) from error
    failure = _find_failure(run_name)
    if failure is None and not Client().get_pipeline_run(run_name).status.is_successful:
        failure = RuntimeError(
            "the orchestrator gave up; its log says why: kubectl logs, or ZenML's dashboard"
        )
    if failure is not None:
        raise failure


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


@contextmanager
def _active(name: str) -> Iterator[None]:
    former = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(_find(name).id)
    try:
        yield
    finally:
        if former is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = former


@contextmanager
def _told_steps(run_name: str) -> Iterator[None]:
    """Say which steps start and end on their machines, as ZenML's server has it, until the block ends."""
    ended = threading.Event()

    def tell() -> None:
        told: set[str] = set()
        while not ended.wait(POLL_SECONDS):
            _tell_steps(run_name, told)
        _tell_steps(run_name, told)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def _tell_steps(run_name: str, told: set[str]) -> None:
    from zenml.client import Client

    runs = Client().list_pipeline_runs(name=run_name, hydrate=True).items
    if not runs:
        return
    total = len(runs[0].snapshot.step_configurations) if runs[0].snapshot else 0
    steps = sorted(runs[0].steps.items(), key=lambda each: str(each[1].end_time or each[1].start_time))
    for name, step in steps:
        words = describe_step(name).words
        if step.status.is_finished and f"{name} ended" not in told:
            told |= {f"{name} began", f"{name} ended"}
            number = sum(1 for each in told if each.endswith(" ended"))
            seconds = (
                (step.end_time - step.start_time).total_seconds()
                if step.end_time and step.start_time
                else 0.0
            )
            how = f"{step.status.value}, " if step.status.value != "completed" else ""
            logger.info("  %d of %d  %s (%s%s)", number, total, words, how, in_words(seconds))
        elif f"{name} began" not in told:
            told.add(f"{name} began")
            logger.info("           %s ...", words)


def _find(name: str) -> StackResponse:
    from zenml.client import Client

    client = Client()
    try:
        return client.get_stack(name, allow_name_prefix_match=False)
    except KeyError as error:
        known = join_words([each.name for each in client.list_stacks(size=100).items])
        raise ConfigError(
            f"--stack {name}: {client.zen_store.url} has no such stack. Expected one of: {known}. Add yours: "
            f"zenml stack import {name} -f deploy/stacks/kubernetes.yaml (see {HANDBOOK})"
        ) from error


def _check_packages(stack: StackResponse) -> None:
    flavors = {each.flavor_name for components in stack.components.values() for each in components}
    wanted = [package for flavor in sorted(flavors) for package in PACKAGES.get(flavor, ())]
    missing = [package for package in wanted if find_spec(package) is None]
    if missing:
        raise ConfigError(
            f"Stack {stack.name} needs {join_words(missing)}, which is not installed. Type: pip install -r "
            "requirements-extras.txt"
        )


def _check_pods(cluster: ClusterSettings) -> None:
    """Refuse pods without an image, or in words that ZenML does not know."""
    from pydantic import ValidationError
    from zenml.integrations.kubernetes.pod_settings import KubernetesPodSettings

    if not cluster.image:
        raise ConfigError(
            "cluster.image is missing. Expected the image of the steps: registry.example.org/taxon-steps:1. "
            f"{HANDBOOK} has the two lines that build and push it"
        )
    for key, pod in (("pod", cluster.pod), ("train", cluster.train)):
        unknown = sorted(set(pod) - set(KubernetesPodSettings.model_fields))
        if unknown:
            raise ConfigError(
                f"cluster.{key} has {join_words(unknown)}. Expected: "
                f"{', '.join(sorted(KubernetesPodSettings.model_fields))}. Change the config"
            )
        try:
            KubernetesPodSettings.model_validate(pod)
        except (ValidationError, ValueError) as error:
            raise ConfigError(f"cluster.{key} describes no pod of Kubernetes: {error}") from error


def _check_store(stack: Stack) -> None:
    """Write and remove a small file: what the pods would find out after minutes is known at once."""
    store = stack.artifact_store
    place = f"{store.path.rstrip('/')}/taxon-write-test-{os.getpid()}"
    try:
        with storage_errors(store.path, "write, as artifact store"):
            with store.open(place, "w") as file:
                file.write("may be deleted")
            store.remove(place)
    except StorageError:
        raise
    except Exception as error:  # each kind of store has exceptions of its own library
        raise StorageError(
            f"{store.path}: the artifact store {store.name} cannot be written: {type(error).__name__}: "
            f"{error}. Check address, credentials and rights of the bucket; see {HANDBOOK}"
        ) from error


def _check_others(stack: StackResponse, config: RunConfig) -> None:
    """Refuse a second run of a data set on a shared store: both would replace one champion."""
    from zenml.client import Client

    from orchestration.store.reaper import UNFINISHED

    client = Client()
    if client.zen_store.is_local_store():
        return  # the run lock of the project covers it
    going = client.list_pipeline_runs(stack=stack.id, status=UNFINISHED, size=100, hydrate=True).items
    for run in going:
        if str((run.config.parameters or {}).get("config", {}).get("name")) == config.name:
            raise RunLockedError(
                f"Run {run.name} of {config.name} has been going on stack {stack.name} since {run.created}. "
                "Expected one run at a time of a data set. Wait for it, or if it is dead, end it: zenml "
                f"pipeline runs stop {run.id}"
            )


def _find_failure(run_name: str) -> Exception | None:
    """What ended a failed run in its first failed step, of its own class if it is Taxon's."""
    from zenml.client import Client

    runs = Client().list_pipeline_runs(name=run_name, hydrate=True).items
    if not runs or not runs[0].status.is_failed:
        return None
    for name, step in runs[0].steps.items():
        if not step.status.is_failed:
            continue
        info = step.exception_info
        if info is None:
            return RuntimeError(
                f"step {name} failed outside its own code, or its pod was killed; its log says which: "
                "ZenML's dashboard, or kubectl logs"
            )
        kind = getattr(errors, str(info.source).rpartition(".")[2], None)
        if isinstance(kind, type) and issubclass(kind, TaxonError):
            return kind(info.message or "")
        logger.error("Step %s failed on its machine.\n%s", name, info.traceback)
        return RuntimeError(f"step {name} failed: {info.message}")
    return None

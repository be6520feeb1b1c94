"""A step's cache key covers the code that it reaches: its import closure, the materializers and the lock.

`docs/decisions/0002-cache-key.md` has the reasons.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zenml.config import CachePolicy
from zenml.orchestrators import cache_utils

from vision.base.closure import ROOT, import_closure
from vision.base.home import project_home, shorten_path

if TYPE_CHECKING:
    from zenml.artifact_stores import BaseArtifactStore
    from zenml.steps import BaseStep

LOCK_NAME = "requirements.txt"
INVOCATION_VARIABLE = "TAXON_STEP"
ALWAYS_REACHED = ("materializers",)  # its package imports the materializers, not the registry
# Pictures of records, log lines and who does the work change no value; names of artifacts are in ZenML's key
# by themselves.
NEVER_COUNTED = (
    "report",
    "vision.base.progress",
    "vision.work",
    "vision.config.work",
    "steps.executor",
    "materializers.names",
)


def keyed(step: BaseStep, invocation_id: str | None = None) -> Callable[..., Any]:
    """The step with the code that it reaches in its cache key, to be called in a pipeline's body.

    Args:
        step: a step of a module of its own.
        invocation_id: its name in the pipeline where the step stands there more than once.
    """
    policy = step_cache_policy(step.entrypoint.__module__)
    if not invocation_id:
        return step.with_options(cache_policy=policy)
    # ZenML leaves out of its key which invocation of a step asks, so two candidates with equal outputs would
    # share one artifact, which it (0.98.0) cannot store twice in a list of inputs of a cached step (UNIQUE
    # constraint failed). Its key does hold the environment of a step, in the pods of a cluster as well.
    named = step.with_options(cache_policy=policy, environment={INVOCATION_VARIABLE: invocation_id})
    return partial(named, id=invocation_id)


@lru_cache
def step_cache_policy(step_module: str, root: Path = ROOT) -> CachePolicy:
    """ZenML's key of inputs and parameters, and the bytes of every file that the step's code reaches.

    The files are named relative to `root`, which ZENML_CUSTOM_SOURCE_ROOT makes ZenML's source root.
    """
    return CachePolicy(file_dependencies=[*step_closure(step_module, root), LOCK_NAME])


def step_closure(step_module: str, root: Path = ROOT) -> tuple[str, ...]:
    """Files that a step's code and the materializers reach, less NEVER_COUNTED, relative to `root`."""
    return import_closure((step_module, *ALWAYS_REACHED), root, NEVER_COUNTED)


class _StoreInProject:
    """What ZenML's key reads of an artifact store, its path relative to the project's folder if inside."""

    def __init__(self, store: BaseArtifactStore) -> None:
        self.id = store.id
        self.path = shorten_path(store.path, project_home())
        self.custom_cache_key = store.custom_cache_key


_zenml_key = cache_utils.generate_cache_key


def _key_in_project(step: Any, input_artifacts: Any, artifact_store: Any, project_id: Any) -> str:
    place = _StoreInProject(artifact_store)
    return _zenml_key(step, input_artifacts, place, project_id)  # type: ignore[arg-type]


# ZenML puts the artifact store's absolute path into every key, so a moved project would train again. No
# setting changes it; a test of this module fails where a new ZenML asks for its key in another way. Where the
# store is a bucket, the key is ZenML's own: pods of a cluster make the same without this module.
cache_utils.generate_cache_key = _key_in_project

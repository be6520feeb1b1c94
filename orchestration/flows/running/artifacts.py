"""The artifacts of one ZenML run, from which its folder is written, and what ZenML does not record itself.

`runs/<name>/` is a projection: written again at any time, read by nothing as input. So what only the runner
knows (candidates left out, why the run ended, seconds around the steps) is metadata of the ZenML run.
"""

from __future__ import annotations

import json
import logging
import resource
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from zenml import log_metadata
from zenml.client import Client
from zenml.enums import ExecutionStatus

from materializers.names import ArtifactName
from orchestration.flows.running.machine import describe_machine
from orchestration.store.reaper import REASON
from orchestration.store.rows import CIRCUMSTANCES, FAILURE
from pipelines.names import PipelineName
from vision.base.errors import ConfigError, TaxonError
from vision.config.run import RunConfig

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse, StepRunResponse

    from report.story import LeftOut

logger = logging.getLogger(__name__)

LIBRARIES = (
    "zenml",
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "ai-edge-litert",
    "evidently",
    "numpy",
    "scikit-learn",
    "pillow",
)
"""Those of them that are installed are recorded; TensorFlow has another package on each kind of machine."""


def record_circumstances(
    run_name: str,
    config: RunConfig,
    left_out: Sequence[LeftOut],
    failure: str | None,
    seconds: float,
    weights: Mapping[str, str] | None = None,
) -> None:
    """Store with the ZenML run what only the runner knows.

    Args:
        run_name: the run.
        config: as it was run.
        left_out: candidates that this machine cannot train.
        failure: why the run ended early, or None.
        seconds: from start to end of the run, its report not counted.
        weights: candidate -> where its weights came from.
    """
    circumstances = {
        "config": config.model_dump_json(),
        "left_out": json.dumps([asdict(each) for each in left_out]),
        "weights": json.dumps(dict(weights or {})),
        FAILURE: failure or "",
        "seconds": seconds,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        **describe_machine(),
        "versions": json.dumps(installed_versions(LIBRARIES)),
    }
    log_metadata(metadata={CIRCUMSTANCES: circumstances}, run_id_name_or_prefix=run_name)


def installed_versions(names: Sequence[str]) -> dict[str, str]:
    """Package -> version, without the packages that are not installed."""
    versions: dict[str, str] = {}
    for name in names:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def run_exists(run_name: str) -> bool:
    """Whether ZenML knows the run: one that fails before its first step is not known."""
    return bool(Client().list_pipeline_runs(name=run_name).items)


def has_trained(run_name: str) -> bool:
    """Whether a network of a run was trained, in it or in an earlier run whose result it reused.

    Raises:
        ConfigError: there is no such run.
    """
    steps = RunArtifacts(find_run(run_name)).steps
    return any(name.startswith("train_") and step.status.is_successful for name, step in steps.items())


def load_output(run_name: str, step: str, artifact: ArtifactName) -> Any:
    """An output of a run, or None where it did not get that far; needs no run folder.

    Raises:
        ConfigError: there is no such run.
        StorageError: the output of a run that did not fail is gone or altered.
    """
    return RunArtifacts(find_run(run_name)).load(step, artifact)


class RunArtifacts:
    """The artifacts and circumstances of one ZenML run, loaded when asked for."""

    def __init__(self, run: PipelineRunResponse) -> None:
        self._run = run
        self.name = run.name

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """What the pipeline was called with."""
        return self._run.config.parameters or {}

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """What was stored with the run."""
        return dict(self._run.run_metadata)

    @cached_property
    def steps(self) -> dict[str, StepRunResponse]:
        """Steps by name, in the order in which they ran."""
        return dict(sorted(self._run.steps.items(), key=lambda item: str(item[1].start_time)))

    @cached_property
    def circumstances(self) -> dict[str, Any]:
        """What `record_circumstances` stored; empty for a run that was killed."""
        stored = self.metadata.get(CIRCUMSTANCES, {})
        return dict(stored) if isinstance(stored, dict) else {}

    @cached_property
    def failure(self) -> str | None:
        """Why the run ended early; None for one that did not. Nothing recorded: its process was killed."""
        if not self.circumstances:
            return REASON if self._run.status.is_failed else None
        return self.circumstances.get(FAILURE) or None

    @cached_property
    def config(self) -> RunConfig:
        """The configuration as it ran.

        Raises:
            ConfigError: the run was killed before it was recorded.
        """
        stored = self.circumstances.get("config")
        if stored:
            return RunConfig.model_validate_json(stored)
        if "config" in self.parameters:
            return RunConfig.model_validate(self.parameters["config"])
        raise ConfigError(
            f"Run {self.name} holds no configuration. It was killed as it started; run it again."
        )

    @cached_property
    def images_digest(self) -> str | None:
        """Content hash of the decoded images; they themselves, which may lie in a bucket, are not fetched."""
        run = self.steps.get("ingest")
        outputs = run.outputs.get(ArtifactName.DATASET, []) if run else []
        return str(outputs[0].run_metadata["content_hash"]) if outputs else None

    def load(self, step: str, artifact: ArtifactName) -> Any:
        """The value of one output, or None where the step did not get that far.

        A run that failed may have failed because of what is stored: what cannot be loaded then is None, too.

        Raises:
            StorageError: an artifact of a run that did not fail is gone or altered.
            BundleError: so is its bundle.
        """
        run = self.steps.get(step)
        outputs = run.outputs.get(artifact, []) if run else []
        if not outputs:
            return None
        try:
            return outputs[0].load()
        except (TaxonError, OSError, ValueError) as error:
            if self.failure is None:
                raise
            logger.warning("%s of step %s is left out of the report: %s", artifact.value, step, error)
            return None

    def load_each(self, step: str, artifact: ArtifactName) -> dict[str, Any]:
        """Candidate -> output of its own step, for those that got that far."""
        loaded = {name: self.load(f"{step}_{name}", artifact) for name in self.config.training.candidates}
        return {name: value for name, value in loaded.items() if value is not None}

    def seconds(self) -> dict[str, float]:
        """Step -> seconds; 0 for a cached one."""
        return {name: _seconds(step) for name, step in self.steps.items()}

    def cached(self) -> tuple[str, ...]:
        """Names of the steps whose results were reused."""
        return tuple(name for name, step in self.steps.items() if step.status.value == "cached")

    def failed(self) -> str | None:
        """Name of the step in which the run ended, if it did."""
        return next((name for name, step in self.steps.items() if step.status.value == "failed"), None)

    def describe_failure(self) -> str:
        """The summary.json of a run that failed: its name, why, and in which step."""
        return json.dumps({"run": self.name, "failure": self.failure, "failed_step": self.failed()}, indent=1)


def find_run(run_name: str) -> PipelineRunResponse:
    """A run by its name.

    Raises:
        ConfigError: there is none.
    """
    try:
        return Client().get_pipeline_run(run_name)
    except KeyError as error:
        raise ConfigError(f"There is no run {run_name}. Expected one of: python run.py runs") from error


def find_newest_training() -> PipelineRunResponse:
    """The last training run that ended with a model, promoted or not: what `latest` means.

    Raises:
        ConfigError: there is none.
    """
    runs = Client().list_pipeline_runs(
        pipeline_name=PipelineName.TRAINING.value,
        status=ExecutionStatus.COMPLETED.value,
        sort_by="desc:created",
        size=1,
    )
    if not runs.items:
        raise ConfigError(
            "No training run has ended with a model yet, which `latest` means. Expected the name of a run "
            "(python run.py runs lists them), or a training first: python run.py train NAME"
        )
    return find_run(runs.items[0].name)


def _seconds(step: StepRunResponse) -> float:
    if step.status.value == "cached" or step.start_time is None or step.end_time is None:
        return 0.0
    return (step.end_time - step.start_time).total_seconds()

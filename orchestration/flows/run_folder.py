"""`runs/<name>/` is a projection of one ZenML run: written again at any time, read by nothing as input.

What only the launcher knows (candidates left out, why the run ended, seconds around the steps) is metadata
of the ZenML run, so that the projection needs nothing else.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import resource
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from zenml import log_metadata
from zenml.client import Client

from materializers.names import ArtifactName
from orchestration.session.paths import ProjectPaths
from orchestration.store.reaper import REASON
from pipelines.names import PipelineName
from report.page import write_report
from report.story import LeftOut, RunStory
from report.summary import summarise
from vision.base.errors import BundleError, ConfigError, StorageError, TaxonError
from vision.base.files import storage_errors, write_atomically
from vision.base.record import FloatArray, ImageArray
from vision.bundle.assembly import load_bundle
from vision.bundle.heat_map import heat_map
from vision.bundle.records import Bundle
from vision.config.run import RunConfig
from vision.data.records import DatasetRef
from vision.data.store import open_images
from vision.evaluation.far import make_all_far
from vision.evaluation.records import Evaluation
from vision.gate.records import Promotion

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse, StepRunResponse

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

WORK = ("ingest", "train_", "infer_", "export", "check_precisions")
"""Steps, by how their names begin, that decode images, train networks or run them: the run's own work.

Orchestration is the run's seconds less theirs: ZenML itself, the start of the process, and every step that
handles records alone (splits, baselines, calibration, comparison, gate). check_precisions is work because it
runs three graphs. Writing the report comes after the run and is a figure of its own in the summary.
"""

CIRCUMSTANCES = "circumstances"


def record_circumstances(
    run_name: str,
    config: RunConfig,
    left_out: Sequence[LeftOut],
    failure: str | None,
    seconds: float,
    weights: Mapping[str, str] | None = None,
) -> None:
    """Store with the ZenML run what only the launcher knows.

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
        "failure": failure or "",
        "seconds": seconds,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count() or 0,
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


def project_run(run_name: str, paths: ProjectPaths) -> tuple[Path, RunStory]:
    """Write `runs/<run_name>/summary.json` and `report.html` from the artifact store.

    Returns:
        The folder, and the story that it tells.

    Raises:
        ConfigError: there is no such run.
        StorageError: the folder cannot be written.
    """
    started = time.monotonic()
    run = RunArtifacts(find_run(run_name))
    story = tell_story(run)
    folder = paths.runs / run.name
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_report(story, folder / "report.html")
    summary = summarise(story, run.circumstances, run.images_digest, time.monotonic() - started)
    write_atomically(folder / "summary.json", json.dumps(summary, indent=2, allow_nan=False).encode())
    return folder, story


def load_promotion(run_name: str) -> Promotion | None:
    """The verdict of a run, or None where it did not get that far; needs no run folder.

    Raises:
        ConfigError: there is no such run.
        StorageError: the verdict of a run that did not fail is gone or altered.
    """
    promotion = RunArtifacts(find_run(run_name)).load("promote", ArtifactName.PROMOTION)
    return promotion if isinstance(promotion, Promotion) else None


def point_latest_at(folder: Path) -> None:
    """Make `runs/latest` lead to a run folder, at once or not at all.

    Raises:
        StorageError: the link cannot be made, or a folder of that name is in its place.
    """
    link = folder.parent / "latest"
    if link.is_dir() and not link.is_symlink():
        raise StorageError(
            f"{link} is a folder. Expected a link to the newest run, or nothing. Remove that folder: the "
            "next run makes the link."
        )
    fresh = folder.parent / f".latest-{os.getpid()}"
    with storage_errors(link, "point it at the run"):
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(folder.name)
        fresh.replace(link)


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
        return self.circumstances.get("failure") or None

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
        """Content hash of the decoded images."""
        dataset = self.load("ingest", ArtifactName.DATASET)
        return dataset.content_hash if isinstance(dataset, DatasetRef) else None

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


def tell_story(run: RunArtifacts) -> RunStory:
    """Everything the report and the summary are told from."""
    config, seconds = run.config, run.seconds()
    total = float(run.circumstances.get("seconds", 0.0))
    work = sum(value for name, value in seconds.items() if name.startswith(WORK))
    left_out = json.loads(run.circumstances.get("left_out", "[]"))
    dataset = run.load("ingest", ArtifactName.DATASET)
    reached_test = run.load("evaluate_test", ArtifactName.EVALUATION)
    images = _images(dataset)
    return RunStory(
        run_name=run.name,
        config=config,
        left_out=tuple(LeftOut(**each) for each in left_out),
        failure=run.failure,
        failed_step=run.failed(),
        manifest=run.load("ingest", ArtifactName.MANIFEST),
        splits=run.load("validate", ArtifactName.SPLITS) or run.load("split", ArtifactName.PROPOSED_SPLITS),
        data_report=run.load("explore", ArtifactName.DATA_REPORT),
        histories=tuple(run.load_each("train", ArtifactName.HISTORY).values()),
        evaluations=tuple(run.load_each("evaluate", ArtifactName.EVALUATION).values()),
        weights=json.loads(run.circumstances.get("weights", "{}")),
        comparison=run.load("compare", ArtifactName.COMPARISON),
        precision_report=run.load("check_precisions", ArtifactName.PRECISION_REPORT),
        rule=run.load("set_thresholds_exported", ArtifactName.DECISION_RULE),
        test=reached_test,
        promotion=run.load("promote", ArtifactName.PROMOTION),
        registration=run.load("register", ArtifactName.REGISTRATION),
        step_seconds=seconds,
        cached_steps=run.cached(),
        orchestration_seconds=max(0.0, total - work) if total else None,
        versions=json.loads(run.circumstances.get("versions", "{}")),
        images=images,
        far_images=_far_images(config, dataset) if reached_test is not None else None,
        heat_maps=_heat_maps(run, reached_test, images),
    )


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
    """The training run that was started last.

    Raises:
        ConfigError: there is none.
    """
    runs = Client().list_pipeline_runs(
        pipeline_name=PipelineName.TRAINING.value, sort_by="desc:created", size=1
    )
    if not runs.items:
        raise ConfigError("There is no training run yet. Start one: make train")
    return find_run(runs.items[0].name)


def _seconds(step: StepRunResponse) -> float:
    if step.status.value == "cached" or step.start_time is None or step.end_time is None:
        return 0.0
    return (step.end_time - step.start_time).total_seconds()


def _images(dataset: DatasetRef | None) -> ImageArray | None:
    """The decoded images, where they are still at hand: an old run's may have been cleaned away."""
    if dataset is None:
        return None
    try:
        return open_images(dataset)
    except StorageError:
        return None


def _far_images(config: RunConfig, dataset: DatasetRef) -> dict[str, ImageArray]:
    """The far unknowns, made again exactly as `infer_test` made them."""
    return make_all_far(config.unknowns.num_far, dataset.image_size, config.seed)


def _heat_maps(
    run: RunArtifacts, test: Evaluation | None, images: ImageArray | None
) -> dict[int, FloatArray]:
    """Row -> heat map of the worst mistakes, from the graph that is served; none where it was altered."""
    if test is None or images is None or not test.mistakes:
        return {}
    try:
        bundle = run.load("assemble", ArtifactName.BUNDLE)
        return {} if bundle is None else _draw_heat_maps(bundle, test, images)
    except (BundleError, StorageError) as error:
        logger.warning("The report has no heat maps: %s", error)
        return {}


def _draw_heat_maps(bundle: Bundle, test: Evaluation, images: ImageArray) -> dict[int, FloatArray]:
    engine = load_bundle(bundle.root, bundle.digest).engine
    cams = engine.forward(np.asarray(images[[answer.row for answer in test.mistakes]])).cam
    if cams is None:
        return {}
    classes = [test.class_names.index(answer.class_name) for answer in test.mistakes]
    pairs = zip(test.mistakes, classes, cams, strict=True)
    return {answer.row: heat_map(cam, label) for answer, label, cam in pairs}

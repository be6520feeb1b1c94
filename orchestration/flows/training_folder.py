"""`runs/<name>/` of a training: report, summary and what is taken away, from the artifacts of its run."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path

import numpy as np

from materializers.names import ArtifactName
from orchestration.flows.running.artifacts import RunArtifacts, find_run
from orchestration.flows.take_away import write_take_away
from orchestration.session.paths import ProjectPaths
from report.exploration.page import Explored, write_exploration
from report.page import write_report
from report.pictures import PictureCache, code_digest, make_key
from report.story import MACHINE, LeftOut, RunStory
from report.summary import summarise
from vision.base.errors import BundleError, SourceError, StorageError
from vision.base.files import storage_errors, write_atomically
from vision.base.record import FloatArray, ImageArray
from vision.bundle.assembly import load_bundle
from vision.bundle.heat_map import heat_map
from vision.config.run import RunConfig
from vision.config.training import Strategy
from vision.data.records import DatasetRef
from vision.data.store import open_images, settings_of
from vision.evaluation.far import make_all_far
from vision.evaluation.records import Evaluation

logger = logging.getLogger(__name__)

WORK = ("ingest", "train_", "infer_", "export")
"""Steps, by how their names begin, that decode images, train networks or run them: the run's own work.

Orchestration is the run's seconds less theirs: ZenML itself, the start of the process, and every step that
handles records alone (splits, baselines, calibration, comparison, gate). Writing the report comes after the
run and is a figure of its own in the summary.
"""


def project_training(run_name: str, paths: ProjectPaths) -> RunStory:
    """Write `runs/<run_name>/` from the artifact store; the story that it tells.

    That is `report.html`, `exploration.html` with `suspected_labels.csv`, what
    `orchestration.flows.take_away` names, and at last `summary.json`.

    Raises:
        ConfigError: there is no such run.
        StorageError: the folder cannot be written.
    """
    started = time.monotonic()
    run = RunArtifacts(find_run(run_name))
    pictures = PictureCache(paths.pictures)
    story = tell_story(run, pictures)
    folder = paths.runs / run.name
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_report(story, folder / "report.html", pictures)
    explored = find_explored(run)
    if explored is not None:
        write_exploration(story, explored, folder, pictures)
    write_take_away(run, story, folder, pictures)
    summary = summarise(story, run.circumstances, time.monotonic() - started)
    write_atomically(folder / "summary.json", json.dumps(summary, indent=2, allow_nan=False).encode())
    return story


def point_latest_at(folder: Path) -> None:
    """Make `runs/latest` lead to a run folder, at once or not at all.

    Raises:
        StorageError: the link cannot be made, or a folder of that name is in its place.
    """
    link = folder.parent / "latest"
    if link.is_dir() and not link.is_symlink():
        raise StorageError(
            f"{link} is a folder. Expected a link to the last run with a model, or nothing. Remove that "
            "folder: the next run makes the link."
        )
    fresh = folder.parent / f".latest-{os.getpid()}"
    with storage_errors(link, "point it at the run"):
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(folder.name)
        fresh.replace(link)


def tell_story(run: RunArtifacts, pictures: PictureCache) -> RunStory:
    """Everything the report and the summary are told from; `pictures` holds what was painted before."""
    config, seconds = run.config, run.seconds()
    total = float(run.circumstances.get("seconds", 0.0))
    work = sum(value for name, value in seconds.items() if name.startswith(WORK))
    left_out = json.loads(run.circumstances.get("left_out", "[]"))
    dataset = run.load("ingest", ArtifactName.DATASET)
    reached_test = run.load("evaluate_test", ArtifactName.EVALUATION)
    images = _images(dataset)
    baselines = run.load("fit_baselines", ArtifactName.BASELINES)
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
        gains=run.load("measure_gains", ArtifactName.GAINS),
        precision_report=run.load("check_precisions", ArtifactName.PRECISION_REPORT),
        inflation=baselines.inflation if baselines is not None else None,
        rule=run.load("set_thresholds_exported", ArtifactName.DECISION_RULE),
        test=reached_test,
        promotion=run.load("promote", ArtifactName.PROMOTION),
        registration=run.load("register", ArtifactName.REGISTRATION),
        step_seconds=seconds,
        cached_steps=run.cached(),
        orchestration_seconds=max(0.0, total - work) if total else None,
        versions=json.loads(run.circumstances.get("versions", "{}")),
        machine={key: run.circumstances[key] for key in MACHINE if key in run.circumstances},
        images_digest=run.images_digest,
        images=images,
        far_images=_far_images(config, dataset, reached_test, pictures) if dataset and reached_test else None,
        heat_maps=_heat_maps(run, reached_test, images, pictures),
    )


def find_explored(run: RunArtifacts) -> Explored | None:
    """The candidate that the images are explored with, a frozen one first; None where none got that far."""
    candidates = run.config.training.candidates
    frozen_first = sorted(candidates, key=lambda name: candidates[name].strategy is not Strategy.FROZEN)
    for name in frozen_first:
        outputs = run.load(f"infer_{name}", ArtifactName.OUTPUTS)
        held_out = run.load(f"fit_unknowns_{name}", ArtifactName.HELD_OUT)
        if outputs is not None and held_out is not None:
            return Explored(name, candidates[name].strategy is Strategy.FROZEN, outputs, held_out)
    return None


def _images(dataset: DatasetRef | None) -> ImageArray | None:
    """The decoded images, where they are still at hand: an old run's may have been cleaned away."""
    if dataset is None:
        return None
    try:
        return open_images(dataset)
    except StorageError:
        return None


def _far_images(
    config: RunConfig, dataset: DatasetRef, test: Evaluation, pictures: PictureCache
) -> dict[str, dict[int, ImageArray]]:
    """The far unknowns among the examples, made again exactly as `infer_test` made them."""
    shown = sorted({(each.true_class, each.row) for each in test.examples if each.kind == "far"})
    arguments = (config.unknowns.num_far, settings_of(dataset), config.seed, config.unknowns.strangers)

    def paint() -> dict[str, ImageArray]:
        made = make_all_far(*arguments)
        return {f"{kind} {row}": made[kind][row] for kind, row in shown}

    painter = code_digest((make_all_far.__module__,))
    try:
        images = pictures.get_arrays(make_key("far", painter, repr((*arguments, shown))), paint)
    except SourceError as error:
        logger.warning("The report shows no far images: %s", error)
        return {}
    return {kind: {row: images[f"{name} {row}"] for name, row in shown if name == kind} for kind, _ in shown}


def _heat_maps(
    run: RunArtifacts, test: Evaluation | None, images: ImageArray | None, pictures: PictureCache
) -> dict[int, FloatArray]:
    """Row -> heat map of the worst mistakes, from the graph that is served; none where it was altered."""
    if test is None or images is None or not test.mistakes:
        return {}
    promotion = run.load("promote", ArtifactName.PROMOTION)
    keep = pictures if promotion is not None else PictureCache()
    digest = promotion.bundle_digest if promotion is not None else ""
    asked = [(answer.row, answer.class_name) for answer in test.mistakes]
    key = make_key(
        "heat maps", digest, str(run.images_digest), code_digest((heat_map.__module__,)), repr(asked)
    )
    try:
        maps = keep.get_arrays(key, lambda: _draw_heat_maps(run, test, images))
    except (BundleError, StorageError) as error:
        logger.warning("The report has no heat maps: %s", error)
        return {}
    return {int(row): values for row, values in maps.items()}


def _draw_heat_maps(run: RunArtifacts, test: Evaluation, images: ImageArray) -> dict[str, FloatArray]:
    bundle = run.load("assemble", ArtifactName.BUNDLE)
    if bundle is None:
        return {}
    engine = load_bundle(bundle.root, bundle.digest).engine
    cams = engine.forward(np.asarray(images[[answer.row for answer in test.mistakes]])).cam
    if cams is None:
        return {}
    classes = [test.class_names.index(answer.class_name) for answer in test.mistakes]
    pairs = zip(test.mistakes, classes, cams, strict=True)
    return {str(answer.row): heat_map(cam, label) for answer, label, cam in pairs}

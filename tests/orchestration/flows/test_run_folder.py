"""A run folder is written whatever the run left: altered files and killed runs do not stop it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from zenml.enums import ExecutionStatus

from materializers.names import ArtifactName
from orchestration.flows import training, training_folder
from orchestration.flows.running import artifacts, runner
from orchestration.flows.running.artifacts import RunArtifacts, installed_versions
from orchestration.flows.running.runner import project_again
from orchestration.flows.training_folder import point_latest_at, project_training, tell_story
from orchestration.session.paths import ProjectPaths
from orchestration.store.reaper import REASON
from orchestration.store.rows import CIRCUMSTANCES
from pipelines.names import PipelineName
from report.pictures import PictureCache
from report.story import LeftOut
from report.summary import summarise
from tests.example_data import make_config
from tests.example_story import make_story
from vision.base.errors import BundleError, ConfigError, StorageError
from vision.base.lock import RunLock
from vision.config.run import RunConfig
from vision.config.training import CandidateSettings
from vision.data.records import DatasetRef
from vision.training.weights import ResolvedWeights

STORY = make_story()


@pytest.fixture(autouse=True)
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures have their own tests; without them a report takes milliseconds."""
    monkeypatch.setattr("report.pictures.PictureCache.draw", lambda *_: b"")


def raises(error: Exception) -> Callable[[], Any]:
    def load() -> Any:
        raise error

    return load


def fake_step(
    artifact: ArtifactName, load: Callable[[], Any], status: ExecutionStatus = ExecutionStatus.COMPLETED
) -> SimpleNamespace:
    outputs = {artifact: [SimpleNamespace(load=load, run_metadata={"content_hash": "c"})]}
    return SimpleNamespace(outputs=outputs, status=status, start_time=None, end_time=None)


def fake_run(
    steps: dict[str, SimpleNamespace], failure: str | None = None, *, killed: bool = False
) -> SimpleNamespace:
    """A run as ZenML describes it."""
    config = make_config().model_dump(mode="json")
    recorded = {"config": json.dumps(config), "failure": failure or "", "seconds": 30.0}
    return SimpleNamespace(
        name="reef-1",
        steps=steps,
        status=ExecutionStatus.FAILED if killed or failure else ExecutionStatus.COMPLETED,
        run_metadata={} if killed else {CIRCUMSTANCES: recorded},
        config=SimpleNamespace(parameters={"config": config}),
    )


def judged_steps(tmp_path: Path, load_bundle: Callable[[], Any]) -> dict[str, SimpleNamespace]:
    """Steps of a run that was judged on test; its images are of the example."""
    dataset = DatasetRef(path=str(tmp_path), content_hash="c", num_images=1, image_size=16, resize="pad")
    return {
        "ingest": fake_step(ArtifactName.DATASET, lambda: dataset),
        "evaluate_test": fake_step(ArtifactName.EVALUATION, lambda: STORY.test),
        "assemble": fake_step(ArtifactName.BUNDLE, load_bundle),
    }


# --- versions -------------------------------------------------------------------------------------------


def test_packages_that_are_not_installed_have_no_version() -> None:
    assert installed_versions(["numpy", "no-such-package-here"]) == {"numpy": np.__version__}


def test_tensorflow_is_recorded_under_either_of_its_names() -> None:
    assert {"tensorflow", "tensorflow-cpu"} <= set(artifacts.LIBRARIES)


# --- what cannot be loaded ------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [BundleError("altered"), StorageError("gone")])
@pytest.mark.parametrize("failure", [None, "BundleError: altered"])
def test_a_bundle_that_was_altered_costs_the_heat_maps_and_nothing_else(
    error: Exception, failure: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_folder, "_images", lambda _: STORY.images)
    run = RunArtifacts(fake_run(judged_steps(tmp_path, raises(error)), failure))  # type: ignore[arg-type]
    story = tell_story(run, PictureCache())
    assert story.heat_maps == {}
    assert story.test == STORY.test
    assert story.failure == failure


def test_a_run_that_failed_on_an_altered_bundle_still_has_its_folder(
    tmp_path: Path, paths: ProjectPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = judged_steps(tmp_path, raises(BundleError("altered")))
    steps["promote"] = fake_step(ArtifactName.PROMOTION, raises(StorageError("x")), ExecutionStatus.FAILED)
    run = fake_run(steps, "BundleError: the champion was altered")
    monkeypatch.setattr(training_folder, "_images", lambda _: STORY.images)
    monkeypatch.setattr(training_folder, "find_run", lambda _: run)
    story, folder = project_training("reef-1", paths), paths.runs / "reef-1"
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert story.promotion is None
    assert summary["failure"] == "BundleError: the champion was altered"
    assert summary["failed_step"] == "promote"
    assert "the champion was altered" in (folder / "report.html").read_text(encoding="utf-8")


def test_what_cannot_be_loaded_is_left_out_of_a_failed_run_and_an_error_of_one_that_did_not_fail() -> None:
    steps = {"compare": fake_step(ArtifactName.COMPARISON, raises(FileNotFoundError("record.json")))}
    failed = RunArtifacts(fake_run(steps, "StorageError: full"))  # type: ignore[arg-type]
    assert failed.load("compare", ArtifactName.COMPARISON) is None
    done = RunArtifacts(fake_run(steps))  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        done.load("compare", ArtifactName.COMPARISON)


# --- killed runs ----------------------------------------------------------------------------------------


def test_the_summary_of_a_killed_run_says_that_it_was_killed(
    paths: ProjectPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = {"train_cnn": fake_step(ArtifactName.HISTORY, raises(OSError()), ExecutionStatus.FAILED)}
    monkeypatch.setattr(training_folder, "find_run", lambda _: fake_run(steps, killed=True))
    project_training("reef-1", paths)
    folder = paths.runs / "reef-1"
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["failure"] == REASON
    assert "killed" in REASON
    assert summary["failed_step"] == "train_cnn"


@pytest.mark.parametrize("error", [ConfigError("no configuration"), RuntimeError("anything")])
def test_a_dead_run_whose_folder_cannot_be_written_stops_no_other(
    error: Exception,
    paths: ProjectPaths,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(runner, "project_again", fail)
    runner._project_dead("reef-1", paths)
    assert "Run reef-1 has no run folder" in caplog.text


@pytest.mark.parametrize("name", ["reef-1", "latest"])
def test_a_run_that_is_going_has_no_report_yet_and_a_dead_one_has(
    name: str, paths: ProjectPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    going = fake_run({})
    going.status, going.pipeline = ExecutionStatus.RUNNING, SimpleNamespace(name=PipelineName.TRAINING)
    for finder in ("find_run", "find_newest_training"):
        monkeypatch.setattr(artifacts, finder, lambda *_: going)
    monkeypatch.setattr(training_folder, "find_run", lambda _: going)
    paths.lock.parent.mkdir(parents=True, exist_ok=True)
    with RunLock(paths.lock, "reef-1"), pytest.raises(ConfigError, match="is still going"):
        project_again(name, paths)
    assert project_again(name, paths) == paths.runs / "reef-1"


# --- latest ---------------------------------------------------------------------------------------------


def test_writing_an_old_run_again_leaves_latest_where_it_is(
    paths: ProjectPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    (paths.runs / "reef-2").mkdir(parents=True)
    point_latest_at(paths.runs / "reef-2")
    monkeypatch.setattr(training_folder, "find_run", lambda _: fake_run({}))
    project_training("reef-1", paths)
    assert (paths.runs / "latest").resolve() == (paths.runs / "reef-2").resolve()
    point_latest_at(paths.runs / "reef-1")
    assert (paths.runs / "latest").resolve() == (paths.runs / "reef-1").resolve()


def test_a_run_folder_or_link_that_cannot_be_made_is_a_storage_error(
    tmp_path: Path, paths: ProjectPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_folder, "find_run", lambda _: fake_run({}))
    paths.runs.write_text("a file where a folder should be", encoding="utf-8")
    with pytest.raises(StorageError, match="reef-1"):
        project_training("reef-1", paths)
    with pytest.raises(StorageError, match="latest"):
        point_latest_at(paths.runs / "reef-1")


# --- orchestration and summary --------------------------------------------------------------------------


def test_orchestration_is_what_decoding_training_and_running_networks_do_not_explain() -> None:
    steps = ("ingest", "train_cnn", "infer_cnn", "export", "infer_precisions", "infer_exported")
    assert all(name.startswith(training_folder.WORK) for name in steps)
    others = ("fit_baselines", "explore", "calibrate_exported", "set_thresholds_exported", "promote")
    assert not any(name.startswith(training_folder.WORK) for name in others)


def test_the_summary_holds_precisions_and_the_rule_but_not_its_calibration_scores() -> None:
    summary = summarise(replace(STORY, images_digest="c0ffee"), {}, 1.5)
    assert [row["precision"] for row in summary["precisions"]["rows"]] == ["fp32", "fp16", "int8"]
    assert summary["precisions"]["served"] == "fp16"
    assert summary["precisions"]["rows"][2]["within_tolerance"] is False
    assert summary["rule"]["temperature"]["value"] == 1.31
    assert summary["rule"]["unknown"]["value"] == 1.9
    assert summary["rule"]["review"]["value"] == 0.62
    assert "calibration_scores" not in summary["rule"]["unknown"]
    assert summary["weights"]["cnn"] == "trained from scratch"
    assert summary["seconds"]["report"] == 1.5


def test_the_summary_of_a_run_without_rule_and_precisions_says_null() -> None:
    summary = summarise(replace(STORY, rule=None, precision_report=None), {}, 0.0)
    assert summary["rule"] is None
    assert summary["precisions"] is None


def test_resolving_tells_where_kept_weights_come_from_and_why_others_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def resolve(settings: CandidateSettings, size: int) -> ResolvedWeights:
        if settings.backbone == "cnn":
            return ResolvedWeights(settings=settings, reason="trained from scratch")
        return ResolvedWeights(settings=None, reason="no network")

    monkeypatch.setattr(training, "resolve_weights", resolve)
    resolved = training.resolve_candidates(make_config())
    assert list(resolved.config.training.candidates) == ["cnn"]
    assert resolved.weights == {"cnn": "trained from scratch"}
    assert resolved.left_out == (LeftOut("residual", "no network"),)


def test_a_student_is_left_out_with_its_teacher_and_needs_a_champion_that_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = make_config()
    candidates = config.training.candidates

    def student_of(teacher: str | None) -> RunConfig:
        learning = candidates["cnn"].model_copy(update={"distil_from": teacher})
        own = config.training.model_copy(update={"candidates": candidates | {"cnn": learning}})
        return config.model_copy(update={"training": own})

    def resolve(settings: CandidateSettings, size: int) -> ResolvedWeights:
        known = settings.distil_from is not None
        return ResolvedWeights(settings=settings if known else None, reason="no network")

    monkeypatch.setattr(training, "resolve_weights", resolve)
    assert list(training.resolve_candidates(student_of("champion")).config.training.candidates) == ["cnn"]
    with pytest.raises(ConfigError, match="its teacher residual cannot be trained"):
        training.resolve_candidates(student_of("residual"))
    with pytest.raises(ConfigError, match="is in production"):
        training.check_teacher(student_of("champion"), None)
    training.check_teacher(student_of("residual"), None)

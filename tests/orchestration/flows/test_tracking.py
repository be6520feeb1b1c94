"""`tracking: mlflow` on records of a run, with a real store of MLflow; without it nothing is imported."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from orchestration.flows import extras, tracking, training
from orchestration.flows.running.runner import Finished, Outcome, Run
from orchestration.flows.tracking import command_of, track
from orchestration.session.paths import ProjectPaths
from report.story import RunStory
from tests.example_data import make_config
from tests.example_story import make_promotion, make_story
from tests.report.take_away.test_model import load_program
from tests.report.take_away.test_model import write as write_taken_away
from tests.vision.training.nets.toy import KERAS_WARNINGS, make_images
from vision.base.errors import ConfigError
from vision.config.export import ExportSettings
from vision.config.run import RunConfig
from vision.gate.records import Verdict

NO_PLAN: Any = None
MLFLOW: RunConfig = make_config().model_copy(update={"tracking": "mlflow"})


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProjectPaths]:
    monkeypatch.setenv("TAXON_STATE", str(tmp_path / "here"))
    monkeypatch.setattr(tracking, "log_metadata", lambda **_: None)  # of ZenML's run, which records have not
    monkeypatch.setattr(tracking, "_register_tracker", lambda _: None)
    yield ProjectPaths.of(tmp_path)
    import mlflow

    mlflow.set_tracking_uri("")
    os.environ.pop("MLFLOW_TRACKING_URI", None)


def make_run(paths: ProjectPaths, name: str, verdict: Verdict = Verdict.PROMOTED) -> RunStory:
    """A judged training and its run folder."""
    folder = paths.runs / name
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "reef.tflite").write_bytes(b"TFL3")
    (folder / "report.html").write_text("<h1>reef</h1>", encoding="utf-8")
    return replace(make_story(), run_name=name, promotion=make_promotion(verdict))


def tell(run: Run, story: RunStory | None) -> Outcome:
    return training.FLOW.tell(Finished(run, NO_PLAN, story))


@pytest.mark.parametrize(
    ("changes", "package"),
    [({"tracking": "mlflow"}, "mlflow"), ({"export": ExportSettings(onnx=True)}, "tf2onnx")],
)
def test_a_missing_package_is_refused_before_training_with_what_to_type(
    monkeypatch: pytest.MonkeyPatch, paths: ProjectPaths, changes: dict[str, Any], package: str
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    extras.check_extras(make_config())
    with pytest.raises(ConfigError, match=rf"{package}.*pip install -r requirements-extras\.txt"):
        training.FLOW.prepare(Run("reef-1", make_config().model_copy(update=changes), paths))


def test_a_training_is_a_run_with_a_nested_one_for_each_candidate_and_goes_on_in_a_moved_project(
    paths: ProjectPaths,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from mlflow import MlflowClient

    story = make_run(paths, "reef-1")
    outcome = tell(Run("reef-1", MLFLOW, paths), story)
    assert outcome.exit_code == 0
    assert outcome.sentences[-1] == f"MLflow: {command_of(paths)}"
    uri = command_of(paths).split()[-1]
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("reef")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"reef-1", "cnn", "residual"}
    parent, cnn = runs["reef-1"], runs["cnn"]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert cnn.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert (parent.data.tags["verdict"], parent.data.tags["winner"]) == ("promoted", "cnn")
    assert parent.data.params["dataset.source"] == "folder"
    assert cnn.data.params["backbone"] == "cnn"
    assert story.test is not None
    assert parent.data.metrics["test/accuracy_low"] == pytest.approx(story.test.accuracy.low)
    assert cnn.data.metrics["validation/nll"] == pytest.approx(story.evaluations[0].nll.value)
    curve = client.get_metric_history(cnn.info.run_id, "epochs/validation_loss")
    epochs = story.histories[0].epochs
    assert [point.step for point in curve] == [row.epoch for row in epochs]
    assert [point.value for point in curve] == pytest.approx([row.validation_loss for row in epochs])
    figures = {each.path for each in client.list_artifacts(cnn.info.run_id, "figures")}
    assert {"figures/confusion.png", "figures/training.png"} <= figures
    assert {each.path for each in client.list_artifacts(parent.info.run_id)} >= {"model", "report.html"}
    assert capfd.readouterr().err == ""
    champion = client.get_model_version_by_alias("reef", "champion")
    assert (int(champion.version), champion.run_id) == (1, parent.info.run_id)

    moved = tmp_path / "there"
    shutil.move(tmp_path / "here", moved)
    monkeypatch.setenv("TAXON_STATE", str(moved))
    there = ProjectPaths.of(tmp_path)
    track(make_run(there, "reef-2", Verdict.REFUSED), make_promotion(Verdict.REFUSED), there)
    assert not (tmp_path / "here").exists()
    client = MlflowClient(command_of(there).split()[-1])
    assert len(client.search_runs([experiment.experiment_id])) == 6
    assert int(client.get_model_version_by_alias("reef", "champion").version) == 1
    source = Path(client.download_artifacts(parent.info.run_id, "model/reef.tflite", str(tmp_path)))
    assert source.read_bytes() == b"TFL3"


@pytest.mark.long
@KERAS_WARNINGS
def test_the_registered_model_answers_as_its_own_program_also_in_a_moved_project(
    paths: ProjectPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    story = make_run(paths, "reef-1")
    folder, _ = write_taken_away(tmp_path)
    shutil.copytree(folder, paths.runs / "reef-1" / "model", dirs_exist_ok=True)
    track(story, make_promotion(), paths)
    shutil.move(tmp_path / "here", tmp_path / "there")
    monkeypatch.setenv("TAXON_STATE", str(tmp_path / "there"))
    there = ProjectPaths.of(tmp_path)
    track(make_run(there, "reef-2", Verdict.REFUSED), make_promotion(Verdict.REFUSED), there)
    pictures = [str(tmp_path / f"{i}.png") for i in range(4)]
    for picture, pixels in zip(pictures, make_images()[0], strict=False):
        Image.fromarray(pixels).save(picture)
    mlflow.set_tracking_uri(command_of(there).split()[-1])
    answers = mlflow.pyfunc.load_model("models:/reef@champion").predict([*pictures, "none.png"])
    program = load_program(folder)
    assert answers[:4] == [{"picture": each, **program.answer(each)} for each in pictures]
    assert answers[4]["decision"] == "unreadable"
    assert "is no file" in answers[4]["reason"]


def test_a_store_that_is_damaged_hides_no_verdict(paths: ProjectPaths) -> None:
    database = paths.state / "mlflow" / "mlflow.db"
    database.parent.mkdir(parents=True)
    database.write_bytes(b"no database" * 1000)
    outcome = tell(Run("reef-1", MLFLOW, paths), make_run(paths, "reef-1"))
    assert outcome.exit_code == 0
    assert "does not take the run" in outcome.cautions[-1]
    assert str(database) in outcome.cautions[-1]

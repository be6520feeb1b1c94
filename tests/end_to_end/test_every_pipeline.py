"""Each pipeline really run, by the command line. The tests share a project, in the order of its life."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.end_to_end.loop import Loop, run_loop
from tests.end_to_end.project import CLASSES, Project, draw_image
from tests.report.outline import check_tiles
from vision.config.reading.loading import load_config

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

ALWAYS = {"promote", "register"}
JUDGED_AGAIN = {"set_thresholds_cnn", "set_thresholds_cnn_residual", "set_thresholds_exported"}


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    """A project after its first run, and its service."""
    with run_loop(tmp_path_factory.mktemp("project"), candidates=("cnn", "cnn_residual")) as made:
        assert made.trained.code == 0, made.trained.output[-4000:]
        yield made


@pytest.fixture
def project(loop: Loop) -> Project:
    return loop.project


def test_first_run_ends_with_a_champion_a_summary_and_an_offline_report(project: Project) -> None:
    summary = project.summary()
    assert summary["gate"]["verdict"] == "promoted"
    assert summary["gate"]["version"] == "1"
    assert summary["failure"] is None
    splits = summary["dataset"]["splits"]
    assert sum(split["num_images"] for split in splits.values()) == 4 * 44
    assert sum(split["num_unknown_images"] for split in splits.values()) == 44
    assert splits["train"]["num_unknown_images"] == 0
    assert set(summary["candidates"]) == {"cnn", "cnn_residual"}
    assert summary["test"]["form"] == "fp16"
    assert summary["test"]["accuracy"]["low"] > 0.5
    assert {"near", "far"} <= set(summary["test"]["decisions"])
    report = (project.state / "runs" / "latest" / "report.html").read_text()
    assert not re.search(r"""(?:src|href)=["']https?:""", report)
    assert "slate" in report


def test_the_numbers_on_the_first_screen_are_those_of_the_summary(project: Project) -> None:
    check_tiles((project.state / "runs" / "latest" / "report.html").read_text(), project.summary())


def test_what_was_promoted_is_deployed_and_its_answers_to_images_like_those_of_calibration_are_quiet(
    loop: Loop,
) -> None:
    assert loop.project.summary()["gate"]["bundle_digest"] == loop.served()
    answers = loop.ask(range(40), dimmed=False)
    assert answers.num_right > 0.9 * len(answers.given)
    verdict = loop.monitor()["verdict"]
    assert (verdict["status"], verdict["verified"]) == ("quiet", True)


def test_without_drift_and_new_images_nothing_is_trained_again(loop: Loop) -> None:
    summary = loop.retrain()
    assert (summary["training"], summary["decision"]["trigger"]) == (None, "none")


def test_a_search_of_settings_ends_with_a_page_and_a_config_that_training_takes(loop: Loop) -> None:
    settings = ("tuning.trials=2", "tuning.space.augment=[light]", "training.candidates.cnn.epochs=2")
    overrides = [part for each in settings for part in ("--set", each)]
    done = loop.command("--pipeline", "tuning", *overrides)
    assert done.code == 0, done.output[-4000:]
    folder = loop.newest("tuning")
    assert len(json.loads((folder / "summary.json").read_text())["trials"]) == 2
    assert (folder / "tuning.html").is_file()
    for config in folder.glob("*-tuned.yaml"):  # none where no trial was better
        assert set(load_config(config).training.candidates) == {"cnn", "cnn_tuned"}


def test_no_artifact_fell_back_to_pickle(project: Project) -> None:
    (store,) = (project.state / "state" / "zenml").rglob("zenml.db")
    with closing(sqlite3.connect(store)) as database:
        rows = database.execute("SELECT DISTINCT materializer FROM artifact_version").fetchall()
    materializers = {json.loads(row[0])["attribute"] for row in rows}
    assert {"RecordMaterializer", "FilesMaterializer", "ArraysMaterializer"} <= materializers
    assert not {name for name in materializers if "pickle" in name.lower()}


@pytest.mark.long
def test_a_killed_run_is_named_its_steps_are_reused_and_the_outcome_is_that_of_an_unbroken_run(
    project: Project,
) -> None:
    unbroken, broken = project.summary(), project.at("broken")
    kill_when(broken, "training cnn_residual", project.folder / "killed.log")
    finished = broken.train("deploy=false")
    assert finished.code == 0, finished.output[-4000:]
    assert "was killed" in finished.output
    assert "train_cnn" not in broken.executed()
    assert "train_cnn_residual" in broken.executed()
    assert broken.summary()["test"] == unbroken["test"]
    assert broken.summary()["gate"]["bundle_digest"] == unbroken["gate"]["bundle_digest"]


def kill_when(project: Project, words: str, log: Path) -> None:
    """Start a run and kill it, not to be caught, as soon as its log has the words."""
    command = project.command("--pipeline", "training", "--config", str(project.config))
    with log.open("w") as sink:
        process = subprocess.Popen(command, env=project.environment(), stdout=sink, stderr=sink)
        deadline = time.monotonic() + 300
        while words not in log.read_text() and time.monotonic() < deadline:
            assert process.poll() is None, log.read_text()[-4000:]
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_second_run_with_nothing_changed_but_the_place_and_lost_decoded_images_trains_nothing(
    project: Project,
) -> None:
    moved = project.at("moved")
    project.state.rename(moved.state)
    for array in (moved.state / "state" / "images").rglob("images.npy"):
        array.unlink()
    finished = moved.train()
    assert not project.state.exists()
    moved.state.rename(project.state)
    assert finished.code == 0, finished.output[-4000:]
    # The splits of the champion are a new input of `split` and `explore`; what `split` and `validate` give is
    # equal, so no more runs.
    assert {"ingest"} < project.executed() <= {*ALWAYS, "ingest", "split", "validate", "explore"}
    assert project.summary()["gate"]["verdict"] == "kept"
    assert project.summary()["gate"]["version"] is None
    assert project.summary()["test"]["accuracy"]["value"] > 0.5


def test_changed_thresholds_and_tolerances_rerun_thresholds_and_what_follows_but_no_network(
    project: Project,
) -> None:
    changed = "review.target_risk=0.25", "unknowns.alpha=0.25", "export.tolerance.ece_difference=0.03"
    finished = project.train(*changed, "deploy=false")
    assert finished.code == 0, finished.output[-4000:]
    executed = project.executed()
    assert executed >= {*JUDGED_AGAIN, "check_precisions"}
    again = ("ingest", "train_", "infer_", "fit_", "calibrate", "export")
    assert not {name for name in executed if name.startswith(again)}


def test_the_run_folder_can_be_written_again_from_the_store_and_runs_are_listed(project: Project) -> None:
    folder = (project.state / "runs" / "latest").resolve()
    before = project.summary()
    for name in ("summary.json", "report.html"):
        (folder / name).unlink()
    finished = project.run("report")
    assert finished.code == 0, finished.output[-2000:]
    after = project.summary()
    for key in ("dataset", "candidates", "test", "gate", "winner"):
        assert after[key] == before[key]
    listed = project.run("runs").output
    for words in ("toy-", "promoted", champion_of(project)[:8]):
        assert words in listed


@pytest.mark.long
def test_a_changed_image_retrains_and_meets_the_champion_on_the_splits_of_old(project: Project) -> None:
    victim = sorted((project.photos / "amber").iterdir())[0]
    draw_image(victim, CLASSES["amber"], (99, 99))
    champion = champion_of(project)
    finished = project.train()
    assert finished.code == 0, finished.output[-4000:]
    assert {"ingest", "train_cnn", "train_cnn_residual", "export"} <= project.executed()
    gate = project.summary()["gate"]
    assert gate["verdict"] in {"promoted", "kept"}
    assert gate["champion_digest"] == champion
    assert {"current test images", "champion's own test groups"} <= {c["name"] for c in gate["checks"]}


def champion_of(project: Project) -> str:
    """Digest of the bundle that is in production after the latest run."""
    gate = project.summary()["gate"]
    digest: str = gate["bundle_digest"] if gate["verdict"] == "promoted" else gate["champion_digest"]
    return digest


def test_one_changed_byte_of_the_champions_bundle_stops_the_next_run(project: Project) -> None:
    for graph in (project.state / "state" / "zenml").rglob("bundle/*/**/fp16.tflite"):
        content = bytearray(graph.read_bytes())
        content[len(content) // 2] ^= 1
        graph.write_bytes(content)
    finished = project.train()
    assert finished.code == 1
    newest = max((project.state / "runs").glob("toy-2*/summary.json"), key=lambda path: path.parent.name)
    assert "BundleError" in json.loads(newest.read_text())["failure"]
    assert "fp16.tflite" in finished.output
    assert "BundleError" in finished.output


@pytest.mark.parametrize(
    ("overrides", "code", "words"),
    [
        (["checks.min_groups_per_class=40"], 2, "40"),
        (
            ["export.precision=fp16", "export.tolerance.mean_probability_difference=0"],
            3,
            "mean probability difference",
        ),
    ],
)
def test_bad_input_gives_a_clear_error_and_its_exit_code(
    project: Project, overrides: list[str], code: int, words: str
) -> None:
    finished = project.train(*overrides)
    assert finished.code == code, finished.output[-3000:]
    assert words in finished.output
    assert "Traceback" not in finished.output

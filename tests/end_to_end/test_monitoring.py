"""A champion's answers are watched: plain ones are quiet, dim ones drift of capture, none counts twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.answers import FRAMES, answer_images, log_path
from tests.end_to_end.project import Finished, Project, make_project

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

NUM_INDIVIDUALS = 50


def monitor(project: Project, *overrides: str) -> Finished:
    settings = [part for each in ("monitoring.min_groups=10", *overrides) for part in ("--set", each)]
    return project.run("--pipeline", "monitoring", "--config", str(project.config), *settings)


def newest(project: Project) -> tuple[Path, dict[str, Any]]:
    """Folder and summary of the newest monitoring run."""
    folder = sorted((project.state / "runs").glob("toy-monitoring-*"))[-1]
    return folder, json.loads((folder / "summary.json").read_text())


def test_answers_are_judged_once_each_from_quiet_to_drift(tmp_path: Path) -> None:
    project = make_project(tmp_path, candidates=("cnn",))
    finished = monitor(project)
    assert finished.code == 2, finished.output[-2000:]
    assert "No model toy is in production" in finished.output
    assert project.train().code == 0
    trained = (project.state / "runs" / "latest").resolve()
    digest = project.summary()["gate"]["bundle_digest"]
    assert not log_path(project).exists()

    answer_images(project, digest, NUM_INDIVIDUALS, first=0)
    finished = monitor(project)
    assert finished.code == 0, finished.output[-3000:]
    assert "Quiet: 150 answers are like the reference" in finished.output
    folder, summary = newest(project)
    assert (summary["verdict"]["status"], summary["verdict"]["verified"]) == ("quiet", True)
    assert (summary["window"]["first_number"], summary["window"]["last_number"]) == (1, 150)
    assert {"drift.html", "evidently.html", "summary.json"} == {each.name for each in folder.iterdir()}

    answer_images(project, digest, NUM_INDIVIDUALS, first=NUM_INDIVIDUALS, dim=True)
    finished = monitor(project, "serve.log.keep_answers=200")
    assert finished.code == 0, finished.output[-3000:]
    _, summary = newest(project)
    assert (summary["verdict"]["status"], summary["verdict"]["cause"]) == ("drift", "capture")
    assert (summary["window"]["first_number"], summary["window"]["last_number"]) == (151, 300)
    assert (summary["log"]["num_beyond"], summary["log"]["num_left"]) == (100, 200)

    # The verdict outlives the cleaning of old runs: its answers are not judged again.
    answer_images(project, digest, 3, first=200)
    assert project.run("clean", "--keep", "0").code == 0
    finished = monitor(project)
    assert finished.code == 0, finished.output[-3000:]
    folder, summary = newest(project)
    assert summary["verdict"]["status"] == "insufficient"
    assert summary["verdict"]["missing_images"] == 100 - 3 * FRAMES
    assert (summary["window"]["judged_before"], summary["window"]["num_answers"]) == (300, 3 * FRAMES)
    assert not (folder / "evidently.html").exists()
    assert (project.state / "runs" / "latest").resolve() == trained
    listed = project.run("runs").output
    assert "drift: capture" in listed
    assert "insufficient" in listed

"""A champion is retrained by the command line; the tests share one project, in the order of its life."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.end_to_end.project import CLASSES, Finished, Project, draw_image, make_project

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

GROUP_BY = "^(?P<group>.+)_frame"
SWAPPED = {"amber": "cobalt", "cobalt": "amber"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a champion, where 40 images of 20 individuals are enough to learn from."""
    made = make_project(tmp_path_factory.mktemp("project"), candidates=("cnn",))
    tree = yaml.safe_load(made.config.read_text())
    enough = {"min_new_images": 40, "min_new_images_on_drift": 40}
    tree["retraining"] = {**enough, "cool_down_hours": 0, "max_age_days": None}
    made.config.write_text(yaml.safe_dump(tree))
    finished = made.train()
    assert finished.code == 0, finished.output[-4000:]
    return made


def name_folders(project: Project, *folders: Path) -> None:
    """Write folders of new images into the project's YAML, as a person would."""
    tree = yaml.safe_load(project.config.read_text())
    named = [{"path": str(folder), "group_by": GROUP_BY} for folder in folders]
    tree["retraining"]["new_images"] = named
    project.config.write_text(yaml.safe_dump(tree))


def draw_batch(folder: Path, seed: int, num_individuals: int, labels: dict[str, str] | None = None) -> Path:
    """Two frames of each new individual, filed under its class or under what `labels` calls that."""
    for number, (name, colour) in enumerate(CLASSES.items()):
        place = folder / (labels or {}).get(name, name)
        place.mkdir(parents=True, exist_ok=True)
        for individual in range(num_individuals):
            for frame in range(2):
                path = place / f"i{seed}-{number}-{individual:02d}_frame{frame}.png"
                draw_image(path, colour, (seed, number, individual, frame))
    return folder


def retrain(project: Project, *arguments: str) -> Finished:
    """Run the retraining pipeline."""
    return project.run("--pipeline", "retraining", "--config", str(project.config), *arguments)


def decided(project: Project) -> dict[str, Any]:
    """summary.json of the newest decision."""
    newest = max((project.state / "runs").glob("toy-retraining-*"), key=lambda folder: folder.name)
    summary: dict[str, Any] = json.loads((newest / "summary.json").read_text())
    assert (newest / "decision.md").is_file()
    return summary


def test_without_new_images_there_is_nothing_to_learn_from(project: Project) -> None:
    finished = retrain(project)
    assert finished.code == 0, finished.output[-4000:]
    assert "No retraining" in finished.output
    assert "0 labelled images in 0 groups" in " ".join(finished.output.split())
    summary = decided(project)
    assert summary["training"] is None
    assert summary["decision"]["trigger"] == "none"
    assert "no retraining" in project.run("runs").output


def test_two_classes_swapped_throughout_a_large_batch_are_not_promoted(project: Project) -> None:
    champion = project.summary()["gate"]["bundle_digest"]
    name_folders(project, draw_batch(project.folder / "poisoned", 70, 24, SWAPPED))
    finished = retrain(project)
    assert finished.code == 3, finished.output[-4000:]
    assert decided(project)["training"]["verdict"] == "refused"
    gate = project.summary()["gate"]
    assert gate["champion_digest"] == champion
    assert gate["version"] is None
    failed = {check["name"] for check in gate["checks"] if not check["passed"]}
    assert "labels of new images" in failed


def test_a_folder_of_new_images_is_learned_from_once_against_the_champion(project: Project) -> None:
    name_folders(project, draw_batch(project.folder / "labelled", 80, 10))
    champion = decided(project)["decision"]["champion_digest"]
    finished = retrain(project)
    assert finished.code == 0, finished.output[-4000:]
    summary = decided(project)
    assert summary["decision"]["trigger"] == "new_images"
    assert summary["decision"]["new_images"]["num_images"] == 4 * 20
    gate = project.summary()["gate"]
    assert gate["verdict"] == summary["training"]["verdict"]
    assert gate["verdict"] in {"promoted", "kept"}
    assert gate["champion_digest"] == champion
    assert len(summary["evidence"]["attempts"]) == 1  # the refused one
    again = retrain(project)
    assert again.code == 0, again.output[-4000:]
    assert decided(project)["training"] is None


def test_a_later_training_of_the_same_configuration_has_what_the_champion_learned_from(
    project: Project,
) -> None:
    promoted = project.summary()["gate"]["verdict"] == "promoted"
    finished = project.train()
    assert finished.code == 0, finished.output[-4000:]
    assert project.summary()["dataset"]["num_images"] == 5 * 44 + (80 if promoted else 0)
    name_folders(project)
    finished = project.train()
    if promoted:
        assert finished.code == 2, finished.output[-4000:]
        assert "labelled (it lay in" in finished.output
    else:
        assert finished.code == 0

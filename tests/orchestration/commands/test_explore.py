"""`run.py explore` writes a page of photographs that nothing was trained on."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest

from orchestration.commands.explore import EXPLORE
from orchestration.commands.parsing import parse
from orchestration.projects import exploration
from orchestration.session.paths import ProjectPaths
from report.story import RunStory
from tests.example_data import make_config
from tests.orchestration.projects.photographs import make_frames, save_noise
from vision.base.errors import ConfigError, SourceError
from vision.config.run import RunConfig
from vision.config.work import ExecutorSettings
from vision.data.records import Split
from vision.work.current import current_work


def explore(paths: ProjectPaths, *words: str) -> Path:
    command, options = parse(["explore", *words])
    assert command is EXPLORE
    assert command.run(options, paths) == 0
    return max((paths.home / "explorations").glob("*/exploration.html"))


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProjectPaths:
    monkeypatch.delenv("TAXON_STATE", raising=False)
    return ProjectPaths.of(tmp_path)


@pytest.mark.slow
def test_a_folder_is_looked_at_without_config_or_training(
    paths: ProjectPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = make_frames(paths.root / "photos")
    for number in range(3):
        save_noise(photos / "rare" / f"IMG{number}.png", 500 + number)
    page = explore(paths, str(photos))
    told = capsys.readouterr().out
    assert told.splitlines()[0] == f"Look at   {page}"
    assert "33 of 3 classes" in told
    assert "A training would refuse" in told  # three pictures are too few
    assert f"python run.py new NAME {photos}" in told
    html = page.read_text()
    assert "looked at without training" in html
    assert "test is left out" in " ".join(told.split()) or "Labels" not in told
    assert "by issue" in html
    assert (page.parent / "suspected_labels.csv").read_text().startswith("path,label,suggestion")
    assert not paths.zenml.exists()


def test_a_name_that_is_nothing_says_what_is_near(paths: ProjectPaths) -> None:
    (paths.root / "configs").mkdir()
    (paths.root / "configs" / "my-fish.yaml").write_text("name: my-fish\n")
    with pytest.raises(ConfigError, match=r"python run\.py explore my-fish"):
        explore(paths, "my-fihs")


def test_a_training_that_was_done_is_not_what_is_offered_next(
    paths: ProjectPaths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def look(config: RunConfig, _data: Path, folder: Path, *_: object, **_more: object) -> exploration.Looked:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "exploration.html").touch()
        return exploration.Looked(folder / "exploration.html", RunStory("r", config), Mock())

    monkeypatch.setattr(exploration, "explore_images", look)
    (paths.root / "configs").mkdir()
    (paths.root / "configs" / "fish.yaml").write_text(
        "name: fish\ndataset: {source: reef}\ntraining: {candidates: {a: {backbone: efficientnet_lite0}}}\n"
    )
    for run, offered in (("fish-7", "train fish"), ("fish-20260101-120000-000", "runs")):
        (paths.runs / run).mkdir(parents=True)
        (paths.runs / run / "results.csv").touch()
        explore(paths, "fish")
        assert capsys.readouterr().out.rstrip().endswith(f"python run.py {offered}")


def test_images_are_read_by_whom_the_config_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object, **_more: object) -> None:
        raise SourceError(str(current_work().executor))

    monkeypatch.setattr(exploration, "read_source", read)
    config = make_config().model_copy(update={"executor": ExecutorSettings(workers=2)})
    with pytest.raises(SourceError, match="workers=2"):
        exploration.explore_images(config, tmp_path, tmp_path / "out", lambda *_: None)


def test_test_images_are_never_looked_at_and_large_classes_are_sampled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tests.vision.toy import make_splits

    uses = [Split.TRAIN, Split.TEST]
    rows: list[tuple[str, str, Split | None]] = [
        ("a" if i < 90 else "b", f"g{i}", uses[i % 2]) for i in range(100)
    ]
    splits = make_splits(rows, ("a", "b"))
    monkeypatch.setattr(exploration, "MOST", 20)
    chosen = exploration._sample(splits, 0)
    assert all(splits.splits[row] is Split.TRAIN for row in chosen)
    assert [sum(splits.image_classes[row] == name for row in chosen) for name in "ab"] == [10, 5]
    assert list(chosen) == sorted(chosen)

"""`run.py explore` writes a page of photographs that nothing was trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.commands.explore import EXPLORE
from orchestration.commands.parsing import parse
from orchestration.projects import exploration
from orchestration.session.paths import ProjectPaths
from tests.example_data import make_config
from tests.orchestration.projects.photographs import make_frames, save_noise
from vision.base.errors import ConfigError, SourceError
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
    assert "before training" in html
    assert "by issue" in html
    assert (page.parent / "suspected_labels.csv").read_text().startswith("path,label,suggestion")
    assert not paths.zenml.exists()


def test_a_name_that_is_nothing_says_what_is_near(paths: ProjectPaths) -> None:
    (paths.root / "configs").mkdir()
    (paths.root / "configs" / "my-fish.yaml").write_text("name: my-fish\n")
    with pytest.raises(ConfigError, match=r"python run\.py explore my-fish"):
        explore(paths, "my-fihs")


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

"""The exploration page: which images are doubted, how classes differ, and what is said without labels."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from report.exploration.issues import find_issues
from report.exploration.map import colour_classes, draw_map
from report.exploration.page import Explored, write_exploration
from report.exploration.shapes import show_shapes
from report.exploration.squares import show_squares
from report.pictures import PictureCache
from report.story import RunStory
from tests.orchestration.projects.photographs import save_noise
from tests.vision.toy import make_held_out, make_outputs, make_splits
from vision.config.data import FolderSource, ImageSettings, Resize, SplitSettings
from vision.config.run import RunConfig
from vision.config.training import TrainingSettings
from vision.data.records import Manifest, Split
from vision.data.sources import read_source
from vision.data.splitting.splits import assign_splits
from vision.evaluation.suspected import find_strangers, find_suspects

NUM = 20


@pytest.fixture
def story(tmp_path: Path) -> RunStory:
    for i in range(2 * NUM):
        name = "cod" if i < NUM else "sand_eel"
        save_noise(tmp_path / "photos" / name / f"{i:02}.png", i, (40, 30) if name == "cod" else (90, 30))
    dataset = FolderSource(path=tmp_path / "photos")
    manifest = read_source(dataset, tmp_path)
    candidates = {"c": {"backbone": "efficientnet_lite0", "weights": "auto", "strategy": "frozen"}}
    return RunStory(
        run_name="fish",
        config=RunConfig(
            name="fish", dataset=dataset, training=TrainingSettings.model_validate({"candidates": candidates})
        ),
        manifest=manifest.model_copy(update={"alike": ((0, 1), (2, NUM))}),
        splits=assign_splits(manifest, SplitSettings(), 1),
        images=np.random.default_rng(0).integers(0, 255, (2 * NUM, 32, 32, 3), dtype=np.uint8),
    )


def explore(**more: object) -> Explored:
    """Every label is right but that of row 3; row 5 is like no class."""
    labels = np.repeat([0, 1], NUM)
    logits = 4 * np.eye(2)[labels]
    logits[3] = [0, 4]
    logits[5] = [0.1, 0]
    values = {"outputs": make_outputs(logits.tolist()), "held_out": make_held_out(logits, labels), **more}
    return Explored("net", True, **values)  # type: ignore[arg-type]


def parts(story: RunStory) -> Manifest:
    assert story.manifest is not None
    return story.manifest


def test_each_kind_of_doubt_has_its_rows(story: RunStory) -> None:
    manifest, explored = parts(story), explore()
    assert explored.held_out is not None
    entries = list(manifest.entries)
    entries[7] = entries[7].model_copy(update={"is_damaged": True})
    manifest = manifest.model_copy(update={"entries": tuple(entries)})
    uses = [
        ("cod" if i < NUM else "sand_eel", f"g{i}", None if i == 8 else Split.TRAIN) for i in range(2 * NUM)
    ]
    splits = make_splits(uses, ("cod", "sand_eel"))
    found = find_issues(manifest, splits, explored.held_out, find_suspects(explored.held_out))
    assert [issue.rows for issue in found] == [(0, 1, 2, NUM), (7, 8), (5,), (3,)]
    assert len({issue.colour for issue in found}) == 4
    assert manifest.two_labels().tolist() == [[2, NUM]]


def test_scores_that_are_spread_alone_make_no_stranger() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 1, (300, 3))
    held_out = make_held_out(logits, logits.argmax(axis=1))
    assert find_strangers(held_out) == []
    early = np.append(rng.normal(0, 1, 299), 9.0)  # a picture of another kind, whatever its class
    assert find_strangers(replace(held_out, stranger_scores=early)) == [299]


def test_a_class_of_another_size_is_told_and_others_are_not(story: RunStory) -> None:
    assert story.splits is not None
    axes, cells = show_shapes(parts(story), story.splits, explore().outputs)
    odd = {axis.title for axis, cell in zip(axes, cells["sand_eel"], strict=True) if cell.is_odd}
    assert odd == {"size", "aspect"}
    assert (axes[0].low, axes[0].high) == ("40", "90")
    assert [cell.median for cell in cells["cod"]][:2] == [0.0, 0.0]


def test_frames_of_the_map_have_their_colours_and_others_are_faded() -> None:
    images = np.zeros((2, 32, 32, 3), np.uint8)
    places = np.array([[0.0, 0.0], [1.0, 1.0]])
    uri = draw_map(images, places, np.arange(2), {0: "#0000FF"})
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))), np.int64)
    assert pixels[1, 20, 2] > pixels[1, 20, 0] + 100  # a blue frame
    assert pixels[20, 20].max() < 30  # round a black picture
    assert pixels[-20, -20].min() > 150  # the other is faded
    names = tuple(f"c{i:02}" for i in range(20))
    many = make_splits([(name, name, Split.TRAIN) for name in names], names)
    assert len(set(colour_classes(many).values())) == 20


def test_the_extreme_shapes_stand_beside_their_squares(story: RunStory, tmp_path: Path) -> None:
    assert story.splits is not None
    config = story.config.model_copy(update={"images": ImageSettings(size=32, resize=Resize.AUTO)})
    shown = show_squares(replace(story, config=config), parts(story), story.splits)
    assert shown.chosen is Resize.PAD
    assert "1.3 to 3.0 times as wide as high" in shown.reason
    assert [each.file.split("/")[0] for each in shown.pictures] == ["cod", "sand_eel", "sand_eel"]
    wide = [read_uri(source) for source in shown.pictures[-1].squares]
    assert [image.size for image in wide] == [(32, 32)] * 3
    corners = [np.asarray(image)[:4].std() for image in wide]
    assert corners[0] < 5 < min(corners[1:])  # grey above a padded picture alone
    entries = [each.model_copy(update={"width": 30, "height": 30}) for each in parts(story).entries]
    even = parts(story).model_copy(update={"entries": tuple(entries)})
    assert not show_squares(story, even, story.splits).pictures
    write_exploration(story, explore(), tmp_path, PictureCache())
    assert "pad: used" in (tmp_path / "exploration.html").read_text()


def read_uri(source: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))


def test_the_page_is_short_and_needs_no_labels_to_be_written(story: RunStory, tmp_path: Path) -> None:
    write_exploration(story, explore(), tmp_path, PictureCache())
    page = (tmp_path / "exploration.html").read_text()
    words = re.sub(r"<style.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL).split()
    assert 100 < len(words) < 500
    assert "or sand_eel? likelier by 0.9" in page  # sure of the other
    assert "label to look at: 1" in page
    assert page.count('type="radio"') == 2
    assert "report.html" not in page  # nothing was trained
    write_exploration(story, explore(held_out=None, lack="one group only"), tmp_path, PictureCache())
    page = (tmp_path / "exploration.html").read_text()
    assert "one group only" in page
    assert "No label could be judged" in page

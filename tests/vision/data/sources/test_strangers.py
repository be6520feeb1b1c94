"""Folders of the user's own strangers: found whatever they are called, refused where there is nothing."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.end_to_end.project import draw_image
from vision.base.errors import SourceError
from vision.config.data import ImageSettings
from vision.data.sources.strangers import digest_strangers, read_strangers

RED = (200, 40, 40)


def draw(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_image(path, RED, (number, 0))
    return folder


def test_images_of_all_levels_are_read_evenly_spaced_and_at_most_as_many_as_asked(tmp_path: Path) -> None:
    folder = draw(tmp_path, "a.png", "deep/b.png", "deep/deeper/c.png", "train/d.png")
    every = read_strangers(folder, 10, ImageSettings(size=16))
    assert every.shape == (4, 16, 16, 3)
    few = read_strangers(folder, 2, ImageSettings(size=16))
    assert [each.tobytes() for each in few] == [every[0].tobytes(), every[3].tobytes()]


def test_the_digest_sees_names_and_bytes(tmp_path: Path) -> None:
    folder = draw(tmp_path, "a.png", "b.png")
    first = digest_strangers(folder)
    assert digest_strangers(folder) == first
    (folder / "b.png").rename(folder / "c.png")
    renamed = digest_strangers(folder)
    draw_image(folder / "c.png", (0, 0, 90), (7, 0))
    assert len({first, renamed, digest_strangers(folder)}) == 3


def test_what_cannot_be_decoded_is_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = draw(tmp_path, "a.png")
    (folder / "b.png").write_bytes(b"no picture")
    with caplog.at_level(logging.WARNING):
        assert len(read_strangers(folder, 10, ImageSettings(size=16))) == 1
    assert "1 of 2 images" in caplog.text


@pytest.mark.parametrize("content", ["absent", "empty", "text", "broken"])
def test_a_folder_without_images_is_refused_with_the_setting_to_correct(content: str, tmp_path: Path) -> None:
    folder = tmp_path / "strangers"
    if content != "absent":
        folder.mkdir()
    if content in ("text", "broken"):
        (folder / ("a.txt" if content == "text" else "a.png")).write_bytes(b"no picture")
    with pytest.raises(SourceError, match=r"unknowns\.strangers"):
        digest_strangers(folder)
    with pytest.raises(SourceError, match=r"unknowns\.strangers"):
        read_strangers(folder, 3, ImageSettings(size=16))

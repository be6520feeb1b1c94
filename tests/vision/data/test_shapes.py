"""What `auto` makes of the shapes of pictures, and what is said of them."""

from __future__ import annotations

import pytest

from vision.config.data import ImageSettings, Resize
from vision.data.records import ImageEntry, Manifest
from vision.data.shapes import settle_resize


def manifest_of(*sides: tuple[int, int]) -> Manifest:
    entries = tuple(
        ImageEntry(path=f"{i}", class_name="a", digest="", num_bytes=1, width=width, height=height)
        for i, (width, height) in enumerate(sides)
    )
    return Manifest(root=".", source_digest="", class_names=("a",), entries=entries)


@pytest.mark.parametrize(
    ("sides", "resize", "words"),
    [
        ([(100, 100)] * 9, Resize.STRETCH, "nearly square: stretched"),
        ([(104, 100), (100, 104)] * 50, Resize.STRETCH, "nearly square"),
        ([(380, 100)] * 20, Resize.PAD, "3.8 times as wide as high: padded"),
        ([(100, 200)] * 20, Resize.PAD, "2.0 times as high as wide"),
        ([(100, 200), (300, 100)] * 20, Resize.PAD, "from 2.0 times as high as wide to 3.0 times as wide"),
        ([(130, 100), (310, 100)] * 20, Resize.PAD, "are 1.3 to 3.1 times as wide as high: padded"),
        ([(100, 100)] * 8 + [(400, 100)] * 2, Resize.PAD, "from nearly square to 4.0 times as wide as high"),
        ([(100, 100)] * 99 + [(400, 100)], Resize.STRETCH, "nearly square"),
    ],
)
def test_auto_picks_by_the_shapes_and_says_so(
    sides: list[tuple[int, int]], resize: Resize, words: str
) -> None:
    settled, told = settle_resize(ImageSettings(size=32, resize=Resize.AUTO), manifest_of(*sides))
    assert settled == ImageSettings(size=32, resize=resize)
    assert words in told
    assert "images.resize: auto" in told


@pytest.mark.parametrize("resize", [Resize.PAD, Resize.CROP, Resize.STRETCH])
def test_a_named_policy_is_kept(resize: Resize) -> None:
    settings = ImageSettings(resize=resize)
    settled, told = settle_resize(settings, manifest_of((400, 100)))
    assert settled == settings
    assert f"images.resize: {resize}" in told

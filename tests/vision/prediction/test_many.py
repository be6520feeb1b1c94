"""Many pictures: little memory each, and the same files whoever answers; what ends its process is a row."""

from __future__ import annotations

import os
import pickle
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from tests.serving.toy import BLACK, GREEN, GREY, RED, paint
from vision.prediction.items import Item
from vision.prediction.listing import open_items
from vision.prediction.part_file import Part, open_part_file
from vision.prediction.records import Row

pytestmark = pytest.mark.slow

MOST_BYTES = 500
"""Of memory for a picture of a batch."""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, colour in {"red": RED, "green": GREEN, "grey": GREY, "black": BLACK}.items():
        for number in range(12):
            shade = tuple(max(0, each - number) for each in colour)
            (folder / f"{name}_{number}.png").write_bytes(paint(shade))  # type: ignore[arg-type]
    (folder / "torn.png").write_bytes(paint(RED)[:50])
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as packed:
        packed.writestr("red.png", paint(RED))
    return folder


def test_a_picture_of_a_batch_takes_little_memory(tmp_path: Path) -> None:
    count = 3_000
    (tmp_path / "photos").mkdir()
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(paint(RED, "JPEG"))
    for number in range(count):
        os.link(
            picture,
            tmp_path / "photos" / f"20150321_035505_64E6_fish{number // 10:06d}_frame{number % 10}.jpg",
        )
    tracemalloc.start()
    try:
        with (
            open_items([tmp_path / "photos"], "^(?P<group>.+)_frame") as listing,
            open_part_file(tmp_path / "out", "key") as part,
        ):
            assert all(each.group for each in listing.items)
            for each in listing.items:
                part.add([Part(stamp=each.stamp, row=Row(path=each.path))])
            taken = tracemalloc.get_traced_memory()[0] / count
    finally:
        tracemalloc.stop()
    assert taken < MOST_BYTES


def test_items_are_read_in_another_process_as_here(photos: Path, tmp_path: Path) -> None:
    with open_items([photos / "red_0.png", tmp_path / "more.zip"]) as listing:
        for item in listing.items:
            sent: Item = pickle.loads(pickle.dumps(item))
            assert sent.read() == item.read() == paint(RED)

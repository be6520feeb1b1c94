"""Pictures of the classes are training pictures as they were trained on, of different groups, and small."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from serving.runtime.class_pictures import SIDE, draw_class_pictures, find_class_pictures
from serving.runtime.running import ServiceFolder
from tests.serving.toy import GREEN, RED, paint, paint_manifest
from vision.data.records import Manifest, Split, Splits

NAMES = ("green", "red")


def make_data(root: Path) -> tuple[Manifest, Splits]:
    """Five pictures a class; the first two are one group, the last is in test."""
    manifest = paint_manifest(root, {"green": GREEN, "red": RED}, 5, (800, 400))
    entries = manifest.entries
    splits = Splits(
        class_names=NAMES,
        digests=tuple(each.digest for each in entries),
        groups=tuple(f"{each.class_name}-{max(1, int(each.path[-5]))}" for each in entries),
        image_classes=tuple(each.class_name for each in entries),
        splits=tuple(Split.TEST if each.path.endswith("4.png") else Split.TRAIN for each in entries),
    )
    return manifest, splits


@pytest.fixture
def folder(tmp_path: Path) -> ServiceFolder:
    return ServiceFolder(tmp_path / "home")


def test_each_class_gets_its_own_pictures_one_a_group(folder: ServiceFolder, tmp_path: Path) -> None:
    draw_class_pictures(folder, "d" * 64, *make_data(tmp_path))
    found = find_class_pictures(folder, "d" * 64, NAMES)
    assert [len(found[name]) for name in NAMES] == [3, 3]
    for name, channel in (("green", 1), ("red", 0)):
        for path in found[name]:
            shown = Image.open(io.BytesIO(path.read_bytes()))
            assert shown.size == (SIDE, SIDE // 2)
            pixel = shown.getpixel((50, 50))
            assert isinstance(pixel, tuple)
            assert pixel[channel] > 200


def test_changed_and_lost_files_are_not_shown(folder: ServiceFolder, tmp_path: Path) -> None:
    manifest, splits = make_data(tmp_path)
    (tmp_path / "red" / "02.png").write_bytes(paint(GREEN))
    (tmp_path / "red" / "03.png").unlink()
    draw_class_pictures(folder, "d" * 64, manifest, splits)
    assert len(find_class_pictures(folder, "d" * 64, NAMES)["red"]) == 1


def test_those_of_the_model_before_are_replaced(folder: ServiceFolder, tmp_path: Path) -> None:
    data = make_data(tmp_path)
    draw_class_pictures(folder, "a" * 64, *data)
    draw_class_pictures(folder, "b" * 64, *data)
    assert find_class_pictures(folder, "a" * 64, NAMES) == {"green": [], "red": []}
    assert all(find_class_pictures(folder, "b" * 64, NAMES).values())

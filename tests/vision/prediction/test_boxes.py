"""Boxes that come with pictures, from a table, MegaDetector or COCO: each is asked alone."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from vision.base.errors import ImageError, SourceError
from vision.prediction.boxes import Boxes
from vision.prediction.items import Item
from vision.prediction.listing import open_items


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for name in ("cam1/a.png", "cam2/a.png", "b.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (100, 50)).save(folder / name)
    return folder


def write(folder: Path, told: Any) -> Path:
    path = folder.parent / "boxes.json"
    path.write_text(json.dumps(told))
    return path


def sides(item: Item) -> tuple[int, int]:
    return Image.open(io.BytesIO(item.read())).size


def ask(source: Path, file: Path | None = None, margin: float | None = 0.0) -> dict[str, tuple[int, int]]:
    with open_items([source], boxes=Boxes(margin, file)) as listing:
        return {each.path: sides(each) for each in listing.items}


def test_each_box_of_megadetector_is_asked_alone(photos: Path) -> None:
    animal, person = ({"category": name, "conf": 0.9} for name in "12")
    told = {
        "detection_categories": {"1": "animal", "2": "person"},
        "images": [
            {
                "file": "survey/cam1/a.png",
                "detections": [
                    animal | {"bbox": [0.0, 0.0, 0.5, 0.5]},
                    animal | {"bbox": [0.5, 0.5, 0.2, 0.2]},
                    animal | {"bbox": [0.0, 0.0, 1.0, 1.0], "conf": 0.1},
                    person | {"bbox": [0.0, 0.0, 1.0, 1.0]},
                ],
            },
            {"file": "survey/cam2/a.png", "detections": []},
            {"file": "a.png", "detections": [animal | {"bbox": [0.0, 0.0, 0.1, 0.1]}]},
        ],
    }
    found = ask(photos, write(photos, told))
    assert found.pop("b.png") == (100, 50)
    assert sorted(found.values()) == [(20, 10), (50, 25), (100, 50)]
    assert found["cam2/a.png"] == (100, 50)


def test_boxes_of_a_coco_file_count_in_the_size_that_it_states(photos: Path) -> None:
    told = {
        "images": [{"id": 1, "file_name": "b.png", "width": 200, "height": 100}],
        "categories": [{"id": 1, "name": "fish"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [20, 20, 100, 40]}],
    }
    assert ask(photos, write(photos, told)) == {
        "b.png": (50, 20),
        "cam1/a.png": (100, 50),
        "cam2/a.png": (100, 50),
    }


def test_a_file_of_other_pictures_is_refused(photos: Path) -> None:
    told = {"detection_categories": {"1": "animal"}, "images": [{"file": "z.png", "detections": []}]}
    with pytest.raises(SourceError, match=r"names none of 3 pictures.*z\.png.*b\.png"):
        ask(photos, write(photos, told))


@pytest.mark.parametrize(
    "head", ["path,x,y,width,height", "path,Left,Top,Width,Height", "path,bbox_x,bbox_y,bbox_w,bbox_h"]
)
def test_rows_of_one_picture_are_told_apart_by_their_boxes(photos: Path, head: str) -> None:
    table = photos / "t.csv"
    table.write_text(f"{head}\nb.png,0,0,50,25\nb.png,0.5,0.5,0.1,0.2\nb.png,,,,\nb.png,0,0,50,25")
    assert ask(table) == {"b.png": (50, 25), "b.png (2)": (10, 10), "b.png (3)": (100, 50)}
    assert ask(table, margin=None) == {"b.png": (100, 50)}


@pytest.mark.parametrize("cells", ["nan,0,5,5", "1,1,0,9", "900,0,5,5", "left,top,a,b"])
def test_a_box_that_holds_nothing_is_the_fault_of_its_row_alone(photos: Path, cells: str) -> None:
    table = photos / "t.csv"
    table.write_text(f"path,x,y,width,height\nb.png,{cells}\ncam1/a.png,0,0,9,9")
    with open_items([table], boxes=Boxes(0.0)) as listing:
        bad, good = listing.items
        assert sides(good) == (9, 9)
        with pytest.raises(ImageError, match="outside the picture, or has no area"):
            bad.read()
    assert ask(table, margin=None)["b.png"] == (100, 50)

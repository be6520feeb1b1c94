"""A folder of something else is called by its name, and the commands that it prints do what they say."""

import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from orchestration.commands.new import NEW
from orchestration.commands.parsing import parse
from orchestration.projects.source import settle_source
from tests.vision.data.sources.test_folder import fault, make, read
from vision.data.sources import read_source

LAYOUTS = Path(__file__).parents[4] / "docs" / "layouts.md"
BOX = "0 0.5 0.5 0.2 0.2\n"


def run_command(message: str, place: Path) -> None:
    """Run what a message says to type, with this interpreter."""
    command = message.split("\n\n")[1]
    assert command.startswith("python -c ")
    environment = {**os.environ, "PATH": str(place / "bin")}
    (place / "bin").mkdir()
    (place / "bin/python").symlink_to(sys.executable)
    subprocess.run(["/bin/sh", "-c", command], check=True, cwd=place, env=environment)


def write(root: Path, name: str, text: str, encoding: str = "utf-8") -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding=encoding)


@pytest.mark.parametrize("image", ["train/images/{}.jpg", "images/train/{}.jpg", "images/{}.jpg"])
def test_a_yolo_set_is_called_so(tmp_path: Path, image: str) -> None:
    for index in range(4):
        make(tmp_path, image.format(index))
        write(tmp_path, image.format(index).replace("images", "labels").replace("jpg", "txt"), BOX)
    message = fault(tmp_path)
    assert "detection set (YOLO" in message
    assert "docs/layouts.md" in message


def test_boxes_of_other_kinds_are_called_so(tmp_path: Path) -> None:
    make(tmp_path / "voc", "JPEGImages/1.jpg", "JPEGImages/2.jpg")
    write(tmp_path, "voc/Annotations/1.xml", "<annotation/>")
    assert "Pascal VOC" in fault(tmp_path / "voc")
    make(tmp_path / "coco", "train/1.jpg", "val/2.jpg")
    write(tmp_path, "coco/annotations/train.json", '{"images": [], "annotations": [{"bbox": []}]}')
    assert "source: coco, annotations: " in fault(tmp_path / "coco")
    write(tmp_path, "coco/annotations/train.json", '{"images": [], "categories": []}')
    assert "docs/sources.md#coco" in fault(tmp_path / "coco")


def test_boxes_are_cut_out_as_the_page_shows(tmp_path: Path) -> None:
    make(tmp_path / "photos", *(f"train/images/{index}.jpg" for index in range(4)))
    for index in range(4):
        write(tmp_path, f"photos/train/labels/{index}.txt", f"{index % 2} 0.5 0.5 0.5 0.5\n")
    write(tmp_path, "photos/data.yaml", "names: [perch, chub]\n")
    found = re.search(r"```python\n(.*?)```", LAYOUTS.read_text(encoding="utf-8"), re.S)
    assert found is not None
    (tmp_path / "cut.py").write_text(found[1])
    subprocess.run([sys.executable, "cut.py", "photos", "classes"], check=True, cwd=tmp_path)
    manifest = read(tmp_path / "classes", group_by="^(?P<group>.+)_box")
    assert [(entry.class_name, entry.width) for entry in manifest.entries] == [("chub", 6)] * 2 + [
        ("perch", 6)
    ] * 2


@pytest.mark.parametrize(
    ("table", "head", "row", "encoding"),
    [
        ("photos/labels.csv", "file,label", "{0}.jpg,{1}", "utf-8-sig"),
        ("photos/labels.csv", "file|label", "{0}.jpg|{1}", "utf-8"),
        ("photos/train.csv", "id,when,species", "{0},2021,{1}", "utf-8"),
        ("names.tsv", "path\tclass\tn", "images/{0}.jpg\t{1}\t{0}", "utf-8"),
        ("photos/meta/a.csv", "label;bild", "{1};{0}.jpg", "utf-8"),
    ],
)
def test_a_table_of_labels_is_told_with_the_source_that_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, head: str, row: str, encoding: str
) -> None:
    make(tmp_path / "photos", *(f"images/{index}.jpg" for index in range(10)))
    rows = [row.format(index, "it's perch" if index % 2 else "Äsche") for index in range(10)]
    write(tmp_path, table, "\n".join([head, *rows]), encoding)
    monkeypatch.chdir(tmp_path)
    message = fault(Path("photos"))
    assert "names 10 of 10 images" in message
    command, options = parse(shlex.split(message.split("\n\n")[1])[2:])
    settings = settle_source("fish", options.source, tmp_path / "fish.yaml", options.overrides)
    assert command is NEW
    manifest = read_source(settings, tmp_path / "data")
    assert Counter(entry.class_name for entry in manifest.entries) == {"it's perch": 5, "Äsche": 5}


def test_images_of_one_name_are_not_sorted_by_a_table(tmp_path: Path) -> None:
    make(tmp_path, "train/1.jpg", "test/1.jpg", "train/2.jpg")
    write(tmp_path, "labels.csv", "file,label\n1.jpg,a\n2.jpg,b\n")
    message = fault(tmp_path)
    assert "labels.csv" in message
    assert "source: csv" not in message


def test_classes_in_file_names_are_told_with_a_command_that_makes_folders(tmp_path: Path) -> None:
    names = [f"train/{kind}.{index}.jpg" for kind in ("cat", "great_dane") for index in range(5)]
    root = make(tmp_path / "photos", *names, "test/1.jpg", "test/2.jpg")
    message = fault(root)
    assert "cat (5), great_dane (5)" in message
    run_command(message, tmp_path)
    assert f"python run.py new NAME {tmp_path / 'photos-by-class'}" in message
    assert read(tmp_path / "photos-by-class").class_names == ("cat", "great_dane")


def test_names_that_cameras_write_and_tables_of_other_things_are_no_labels(tmp_path: Path) -> None:
    make(tmp_path, *(f"photos/{kind}_{index}.jpg" for kind in ("IMG", "DSC") for index in range(8)))
    write(tmp_path, "weather.csv", "day,rain\n1,2\n2,3\n")
    write(tmp_path, "empty.csv", "")
    assert "one class only, 'photos'" in fault(tmp_path)


def test_a_table_that_cannot_be_read_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "labels.csv").write_bytes("file,fish\n1.jpg,brème\n2.jpg,perche\n".encode("latin-1"))
    fault(tmp_path)
    assert "labels.csv cannot be read" in caplog.text
    assert "CSV in UTF-8" in caplog.text

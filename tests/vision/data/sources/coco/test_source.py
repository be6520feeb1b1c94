"""What a COCO file gives to learn from; the traps of the formats, one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.shared_data import shared_data
from tests.vision.data.sources.coco.drawing import image, mark, save, write
from vision.base.errors import SourceError
from vision.config.sources.labelled import CocoSource
from vision.data.records import Manifest
from vision.data.sources import digest_source, read_source
from vision.data.sources.coco.document import read_document

PERCH_AND_CHUB = [image("a"), image("b")], [mark("a", 1), mark("b", 2)]


def read(settings: CocoSource) -> Manifest:
    return read_source(settings, settings.annotations.parent / "data")


def told(manifest: Manifest) -> dict[str, int]:
    """First words of each remark -> its count."""
    return {remark.what.split(",")[0].split(":")[0]: remark.count for remark in manifest.remarks}


def classes(manifest: Manifest) -> dict[str, str]:
    return {entry.path: entry.class_name for entry in manifest.entries}


def test_frames_have_the_class_of_their_annotations_and_the_box_around_all_of_them(tmp_path: Path) -> None:
    boxes = [mark("a", 1, (8, 12, 16, 24)), mark("a", 1, (32, 24, 16, 12)), mark("b", 2), mark("c", 0)]
    manifest = read(write(tmp_path, [image("a"), image("b"), image("c")], boxes))
    assert classes(manifest) == {"a.png": "perch", "b.png": "chub", "c.png": "empty"}
    assert [entry.box for entry in manifest.entries] == [(0.125, 0.25, 0.625, 0.5), None, None]


def test_ids_are_numbers_or_text_and_a_box_without_a_name_is_no_label(tmp_path: Path) -> None:
    settings = write(tmp_path, [image("a", id=1), image("b", id="2"), image("c", id=3)], [])
    content = json.loads(settings.annotations.read_text())
    content["annotations"] = [
        {"image_id": number, "category_id": name, "bbox": [8, 12, 16, 24]}
        for number, name in (("1", 1.0), (2.0, "2"), (3, None), (1, None))
    ]
    settings.annotations.write_text(json.dumps(content))
    manifest = read(settings)
    assert classes(manifest) == {"a.png": "perch", "b.png": "chub"}
    assert told(manifest) == {"pictures without any annotation": 1}


@pytest.mark.parametrize(("name", "num_boxes"), [("fathomnet2023_val", 2282), ("fgvc2025_dataset_test", 0)])
def test_files_of_real_competitions_are_read(name: str, num_boxes: int) -> None:
    document = read_document(shared_data("fathomnet_json") / f"{name}.json")
    assert sum(len(photo.marks) for photo in document.photos) == num_boxes
    assert all(photo.size for photo in document.photos)


def test_no_annotation_is_not_empty_and_several_classes_are_never_one(tmp_path: Path) -> None:
    pictures, marks = PERCH_AND_CHUB
    both = [mark("c", 1, (8, 12, 16, 24)), mark("c", 2, (40, 6, 8, 8))]
    manifest = read(write(tmp_path, [*pictures, image("c"), image("d")], [*marks, *both]))
    assert set(classes(manifest)) == {"a.png", "b.png"}
    assert told(manifest) == {"pictures without any annotation": 1, "pictures of several classes": 1}
    assert not manifest.quarantined


def test_boxes_are_cut_out_each_with_its_own_class_and_stay_with_their_picture(tmp_path: Path) -> None:
    marks = [
        *(mark("a", 1, (8, 12, 16, 24)), mark("a", 2, (40, 6, 0, 8)), mark("a", 2, (40, 6, 8, 8))),
        *(mark("b", 1), mark("b", 1, (100, 100, 9, 9)), mark("b", 2, (2, 2, 9, 9), iscrowd=1)),
    ]
    manifest = read(write(tmp_path, [image("a"), image("b")], marks, use="boxes", margin=0.0))
    assert classes(manifest) == {"a.png_0.png": "perch", "a.png_1.png": "chub"}
    assert [(entry.width, entry.height) for entry in manifest.entries] == [(16, 24), (8, 8)]
    assert {entry.group for entry in manifest.entries} == {"a.png"}
    assert np.asarray(Image.open(manifest.locate(manifest.entries[0]))).min() == 255
    assert told(manifest) == {
        "boxes without a width or a height": 1,
        "boxes that hold several individuals": 1,
    }
    assert [(item.path, item.reason) for item in manifest.quarantined] == [
        ("b.png", "its box lies outside the picture, or has no area")
    ]


def test_a_margin_stays_inside_the_picture(tmp_path: Path) -> None:
    marks = [mark("a", 1, (0, 12, 16, 24)), mark("b", 2, (8, 12, 16, 24))]
    manifest = read(write(tmp_path, [image("a"), image("b")], marks, use="boxes", margin=0.25))
    assert [(entry.width, entry.height) for entry in manifest.entries] == [(22, 36), (28, 36)]


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("stated", ["stored", "seen"])
def test_boxes_of_turned_pictures_meet_their_subject_in_either_frame(
    tmp_path: Path, orientation: int, stated: str
) -> None:
    save(tmp_path / "a.png", orientation)
    whites = {5: (12, 8), 6: (12, 8), 7: (12, 40), 8: (12, 40)}[orientation]
    stored = stated == "stored"
    size = {"width": 64, "height": 48} if stored else {"width": 48, "height": 64}
    box = (8, 12, 16, 24) if stored else (*whites, 24, 16)
    settings = write(
        tmp_path,
        [image("a", **size), image("b")],
        [mark("a", 1, box), mark("b", 2, (8, 12, 16, 24))],
        use="boxes",
        margin=0.0,
    )
    entry = read(settings).entries[0]
    assert (entry.width, entry.height) == (24, 16)
    assert np.asarray(Image.open(read(settings).locate(entry))).min() == 255


def test_boxes_of_a_larger_original_and_shares_of_the_picture_are_one(tmp_path: Path) -> None:
    marks = [mark("a", 1, (16, 24, 32, 48)), mark("b", 2, bbox_relative=[0.125, 0.25, 0.25, 0.5])]
    manifest = read(write(tmp_path, [image("a", width=128, height=96), image("b")], marks))
    assert [entry.box for entry in manifest.entries] == [(0.125, 0.25, 0.25, 0.5)] * 2


def test_labels_of_a_sequence_with_several_classes_are_left_out(tmp_path: Path) -> None:
    pictures = [image(name, seq_id=seq) for name, seq in (("a", 1), ("b", 1), ("c", 2), ("d", 3))]
    marks = [
        mark(name, category, sequence_level_annotation=True)
        for name, category in (("a", 1), ("b", 2), ("c", 1), ("d", 2))
    ]
    manifest = read(write(tmp_path, pictures, marks))
    assert set(classes(manifest)) == {"c.png", "d.png"}
    assert told(manifest) == {"pictures labelled by a sequence that shows several classes": 2}


def test_a_location_is_the_group_where_every_class_has_four(tmp_path: Path) -> None:
    pictures = [image(f"i{i}", location=str(i // 2) if i % 2 else i // 2) for i in range(8)]
    marks = [mark(f"i{i}", 1 + i % 2) for i in range(8)]
    groups = [entry.group for entry in read(write(tmp_path, pictures, marks)).entries]
    assert groups == ["0", "0", "1", "1", "2", "2", "3", "3"]
    fewer = write(tmp_path, pictures[:4], marks[:4])
    assert [entry.group for entry in read(fewer).entries] == [None] * 4
    fewer = fewer.model_copy(update={"group_by": "location"})
    assert [entry.group for entry in read(fewer).entries] == ["0", "0", "1", "1"]


def test_a_burst_is_told_by_its_number_or_by_pauses_of_a_camera(tmp_path: Path) -> None:
    times = ("10:00:00", "10:00:55", "10:01:50", "10:03:00", None)
    pictures = [
        image(f"i{i}", location="p", datetime=f"2026-06-01 {t}" if t else None) for i, t in enumerate(times)
    ]
    pictures += [
        image("j0", location="q", datetime="2026-06-01 10:00:00"),
        image("j1", seq_id="s", location="p"),
    ]
    marks = [mark(each["id"], 1 + i % 2) for i, each in enumerate(pictures)]
    groups = {entry.path[:2]: entry.group for entry in read(write(tmp_path, pictures, marks)).entries}
    assert groups["i0"] == groups["i1"] == groups["i2"]
    assert groups["i4"] is None
    assert len({groups[name] for name in ("i0", "i3", "i4", "j0", "j1")}) == 5
    assert groups["j1"] == "p/s"


def test_paths_have_folders_spaces_and_backslashes_and_do_not_lead_out(tmp_path: Path) -> None:
    pictures = [
        *({"id": 1, "file_name": "site 1\\a b.png"}, {"id": 2, "file_name": "c.png"}),
        *({"id": 3, "file_name": "../d.png"}, {"id": 4, "file_name": "gone.png"}),
    ]
    settings = write(tmp_path / "in", pictures, [mark(str(i), 1 + i % 2) for i in (1, 2, 3, 4)])
    (tmp_path / "in" / "gone.png").unlink()
    save(tmp_path / "d.png")
    manifest = read(settings)
    assert set(classes(manifest)) == {"site 1/a b.png", "c.png"}
    assert [(item.path, item.class_name) for item in manifest.quarantined] == [
        ("../d.png", "chub"),
        ("gone.png", "perch"),
    ]


def test_a_genus_beside_its_species_is_told(tmp_path: Path) -> None:
    names = ("empty", "Perca", "Perca fluviatilis", "Perca flavescens")
    manifest = read(
        write(tmp_path, [image(c) for c in "abc"], [mark(c, i + 1) for i, c in enumerate("abc")], names)
    )
    assert [remark.count for remark in manifest.remarks] == [2]
    assert "'Perca'" in manifest.remarks[0].what


def test_classes_are_skipped_or_held_out(tmp_path: Path) -> None:
    pictures = [image(c) for c in "abcd"]
    marks = [mark(c, i) for c, i in zip("abcd", (0, 1, 2, 3), strict=True)]
    names = ("empty", "perch", "chub", "otter")
    manifest = read(
        write(tmp_path, pictures, marks, names, skip_classes=["empty"], unknown_classes=["otter"])
    )
    assert (manifest.class_names, manifest.unknown_class_names) == (("chub", "perch"), ("otter",))


def detect(folder: Path, *boxes: Any, **more: Any) -> Path:
    path = folder / "md.json"
    found = [{"category": category, "conf": conf, "bbox": box, **more} for category, conf, box in boxes]
    names = {"1": "animal", "2": "person"}
    failed = {"file": "b.png", "failure": "Failure image access", "detections": None}
    path.write_text(
        json.dumps(
            {"detection_categories": names, "images": [{"file": "a.png", "detections": found}, failed]}
        )
    )
    return path


def test_detected_animals_are_cut_out_of_pictures_of_one_class(tmp_path: Path) -> None:
    box = [0.125, 0.25, 0.25, 0.5]
    path = detect(tmp_path, ("1", 1, box), ("1", 0.1, box), ("2", 0.9, box))
    marks = [mark("a", 1), mark("b", 2), mark("b", 2, (0, 0, 9, 9))]
    manifest = read(write(tmp_path, *PERCH_AND_CHUB[:1], marks, use="boxes", margin=0.0, detections=path))
    assert {entry.path: (entry.class_name, entry.width, entry.height) for entry in manifest.entries} == {
        "a.png_0.png": ("perch", 16, 24),
        "b.png_0.png": ("chub", 9, 9),
    }


@pytest.mark.parametrize(
    ("box", "more", "word"),
    [([8, 12, 16, 24], {}, "shares"), ([0, 0, 0.5, 0.5], {"frame_number": 3}, "video")],
)
def test_detections_in_pixels_or_of_videos_are_refused(
    tmp_path: Path, box: list[float], more: dict[str, int], word: str
) -> None:
    with pytest.raises(SourceError, match=word):
        read(write(tmp_path, *PERCH_AND_CHUB, detections=detect(tmp_path, ("1", 0.9, box), **more)))


@pytest.mark.parametrize(
    ("images", "marks", "names", "word"),
    [
        ([image("a"), image("a")], [], ("x", "y"), "image id"),
        ([image("a")], [], ("Red Deer", "red_deer"), "category name"),
        ([image("a")], [mark("z", 1)], ("x", "y"), "image_id .*z"),
        ([image("a")], [mark("a", 7)], ("x", "y"), "category_id .*7"),
        ([image("a")], [mark("a", 1, (1, 2, 3))], ("x", "y"), "no boxes"),
        ([image("a")], [mark("a", 1, (1, 2, -3, 4))], ("x", "y"), "no boxes"),
        ([image("a")], [mark("a", 1, (1, 2, 3, 4), bbox_relative=[0, 0, 1, 1])], ("x", "y"), "bbox_relative"),
        ([image("a")], [mark("a", 1, (0.1, 0.2, 0.3, 0.4))], ("x", "y"), "look like shares"),
        ([image("a")], [mark("a", 1, bbox_relative=[8, 9, 10, 11])], ("x", "y"), "look like pixels"),
        ([{"id": 1}], [], ("x", "y"), r"images\.0\.file_name"),
        ([image("a")], [mark("a", 1)], ("x", "y"), "only y"),
    ],
)  # fmt: skip
def test_a_file_that_contradicts_itself_is_refused(
    tmp_path: Path, images: list[Any], marks: list[Any], names: tuple[str, ...], word: str
) -> None:
    settings = write(tmp_path, [each for each in images if "file_name" in each], marks, names)
    content = json.loads(settings.annotations.read_text()) | {"images": images}
    settings.annotations.write_text(json.dumps(content))
    with pytest.raises(SourceError, match=word):
        read(settings)


@pytest.mark.parametrize(
    ("content", "word"),
    [("[1]", "list"), ("{", "no JSON"), ('{"detection_categories": {}}', "dataset.detections")],
)
def test_another_file_is_refused(tmp_path: Path, content: str, word: str) -> None:
    (tmp_path / "labels.json").write_text(content)
    with pytest.raises(SourceError, match=word):
        read(CocoSource(annotations=tmp_path / "labels.json"))


def test_a_wrong_folder_and_a_class_without_files_are_refused(tmp_path: Path) -> None:
    settings = write(tmp_path, *PERCH_AND_CHUB)
    (tmp_path / "b.png").unlink()
    with pytest.raises(SourceError, match=r"'chub'.*skip_classes"):
        read(settings)
    (tmp_path / "a.png").unlink()
    with pytest.raises(SourceError, match=r"none of 2 files.*dataset\.images"):
        read(settings)


def test_boxes_are_cut_once_and_again_after_a_stop(tmp_path: Path) -> None:
    marks = [mark("a", 1, (8, 12, 16, 24)), mark("b", 2, (8, 12, 16, 24))]
    settings = write(tmp_path, [image("a"), image("b")], marks, use="boxes")
    first = read(settings)
    assert first.source_digest == digest_source(settings, tmp_path)
    cut, done = first.locate(first.entries[0]), Path(first.root) / ".done"
    before = cut.stat().st_mtime_ns
    assert read(settings) == first
    assert cut.stat().st_mtime_ns == before
    done.unlink()
    cut.write_bytes(b"half")
    assert read(settings) == first

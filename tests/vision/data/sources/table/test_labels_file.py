"""A table of paths and labels: encodings, columns, faults of rows, splits and boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.project import draw_image
from vision.base.errors import SourceError
from vision.config.sources.tables import CsvSource
from vision.data.records import Manifest, Split
from vision.data.sources import digest_source, read_source

ROWS = ["a.png;Äsche", "b.png;Äsche", "c.png;chub", "d.png;chub"]


def write(folder: Path, rows: list[str], encoding: str = "utf-8", head: str = "file;species") -> Path:
    for number, name in enumerate("abcd"):
        (folder / "photos").mkdir(exist_ok=True)
        draw_image(folder / "photos" / f"{name}.png", (60 * number, 90, 40), (number, 0))
    (folder / "t.csv").write_bytes("\r\n".join([head, *rows]).encode(encoding))
    return folder / "t.csv"


def read(path: Path, **settings: Any) -> Manifest:
    source = CsvSource(path=path, **{"images": path.parent / "photos", **settings})
    manifest = read_source(source, path.parent)
    assert manifest.source_digest == digest_source(source, path.parent)
    return manifest


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("separator", [";", ",", "\t"])
def test_encodings_and_separators_are_found(
    tmp_path: Path, encoding: str, separator: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [row.replace(";", separator) for row in ROWS]
    manifest = read(write(tmp_path, rows, encoding, f"file{separator}species"))
    assert manifest.class_names == ("chub", "Äsche")
    assert ("read as Latin-1" in caplog.text) == (encoding == "latin-1")


def test_a_table_with_every_fault_tells_each(tmp_path: Path) -> None:
    rows = [
        *ROWS,
        "a.png;Äsche",
        "b.png;chub",
        "gone.png;chub",
        "../t.csv;chub",
        ";chub",
        "d.png;",
        "",
        "x.png;",
    ]
    manifest = read(write(tmp_path, rows))
    assert [entry.path for entry in manifest.entries] == ["a.png", "c.png", "d.png"]
    reasons = {item.path: item.reason for item in manifest.quarantined}
    assert set(reasons) == {"../t.csv", "b.png", "gone.png", "row 10"}
    assert reasons["b.png"] == "rows differ in the label: row 3 'Äsche', row 7 'chub'"
    assert "No such file" in reasons["gone.png"]
    assert "outside" in reasons["../t.csv"]
    counts = {remark.what: (remark.count, remark.first) for remark in manifest.remarks}
    assert counts["rows without a label, which teach nothing"] == (2, "d.png")
    assert counts["rows that name a picture again, counted once"] == (2, "a.png")


def test_rank_group_split_and_box_come_from_columns_of_their_own(tmp_path: Path) -> None:
    head = "file,species,genus,fish,set,x,y,w,h"
    rows = [
        "a.png,chub,Squalius,f1,training,0,0,4,4",
        "b.png,ide,Leuciscus,f1,val,,,,",
        "c.png,ide,Leuciscus,f2,test,,,,",
        "d.png,dace,Leuciscus,f3,train,900,0,5,5",
    ]
    path = write(tmp_path, rows, head=head)
    manifest = read(
        path, rank="genus", group_column="Fish", split_column="set", box_columns=("x", "y", "w", "h")
    )
    assert manifest.class_names == ("Leuciscus", "Squalius")
    assert [entry.tree for entry in manifest.entries] == [Split.TRAIN, Split.VALIDATION, Split.TEST]
    assert [entry.group for entry in manifest.entries] == ["f1", "f1", "f2"]
    first = manifest.entries[0]
    assert first.box == (0.0, 0.0, 4 / first.width, 4 / first.height)
    assert [item.path for item in manifest.quarantined] == ["d.png"]  # its box lies outside


def test_a_bare_name_finds_its_file_farther_down(tmp_path: Path) -> None:
    path = write(tmp_path, [row.replace(".png", "") for row in ROWS])
    assert [entry.path for entry in read(path, images=tmp_path).entries] == [
        f"photos/{name}.png" for name in "abcd"
    ]


@pytest.mark.parametrize(
    ("head", "settings", "words"),
    [
        ("file;fishes", {}, "label_column.*file, fishes"),
        ("file;species", {"label_column": "specis"}, "did you mean species"),
        ("file;species;label", {}, "species and label may each"),
        ("number;species", {}, "path_column"),
        ("file;species", {"split_column": "species"}, "row 2 has the split 'Äsche'"),
        ("file;species", {"box_columns": ("file",) * 4}, "row 2 has the box"),
        ("file;species", {"skip_classes": ("chub",)}, "only Äsche"),
        ("file;species", {"unknown_classes": ("chup",)}, "did you mean chub"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, head: str, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(SourceError, match=words):
        read(write(tmp_path, ROWS, head=head), **settings)


def test_boxes_are_cut_out_and_those_of_one_picture_stay_together(tmp_path: Path) -> None:
    head = "file,species,x,y,w,h"
    rows = ["a.png,chub,0,0,4,4", "a.png,ide,4,4,6,5", "a.png,ide,4,4,6,5", "b.png,ide,1,1,3,3"]
    rows += ["b.png,chub,,,,", "c.png,chub,900,0,5,5", "d.png,chub,1,1,0,5", "d.png,chub,2,2,5,5"]
    columns = {"use": "boxes", "margin": 0.0, "box_columns": ("x", "y", "w", "h")}
    manifest = read(write(tmp_path, rows, head=head), **columns)
    sides = {entry.path: (entry.class_name, entry.width, entry.height) for entry in manifest.entries}
    assert sides == {
        "a.png_0.png": ("chub", 4, 4),
        "a.png_1.png": ("ide", 6, 5),
        "b.png_0.png": ("ide", 3, 3),
        "d.png_0.png": ("chub", 5, 5),
    }
    assert [entry.group for entry in manifest.entries] == ["a.png", "a.png", "b.png", "d.png"]
    assert manifest.crop_margin == 0.0
    assert {item.path: "no area" in item.reason for item in manifest.quarantined} == {
        "c.png": True,
        "d.png": True,
    }
    counts = {remark.what.partition(" ")[2]: remark.count for remark in manifest.remarks}
    assert counts == {
        "that name a picture again, counted once": 1,
        "with a label and no box to cut out, left out": 1,
    }


def test_a_box_of_no_numbers_is_refused_with_its_row(tmp_path: Path) -> None:
    path = write(tmp_path, ["a.png,chub,nan,0,4,4", "b.png,ide,,,,"], head="file,species,x,y,w,h")
    with pytest.raises(SourceError, match="row 2 has the box 'nan'"):
        read(path, box_columns=("x", "y", "w", "h"))


def test_boxes_need_their_columns(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="box_columns"):
        CsvSource(path=tmp_path / "t.csv", use="boxes")


def test_an_unclosed_quote_and_a_name_that_two_columns_have_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="quote"):
        read(write(tmp_path, [*ROWS[:3], 'd.png;"chub']))
    with pytest.raises(SourceError, match="2 columns are called 'species'"):
        read(write(tmp_path, ["a.png;Äsche;chub"], head="file;species;species"), label_column="species")

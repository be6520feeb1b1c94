"""A table of corrected labels changes what a person wrote into it, and nothing else."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from report.exploration.page import write_table
from tests.vision.toy import make_held_out
from vision.base.errors import DataError, SourceError
from vision.config.data import CheckSettings, FolderSource, SplitSettings
from vision.data.account import tell_files
from vision.data.label_corrections import COLUMNS
from vision.data.records import Manifest
from vision.data.sources import digest_source, read_source
from vision.data.splitting.checks import check_splits
from vision.data.splitting.splits import assign_splits
from vision.evaluation.suspected import find_suspects


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("bream", "cod", "whale"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(8):
            pixels = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path / "photos"


def source(photos: Path, corrections: Path | None = None) -> FolderSource:
    return FolderSource(path=photos, unknown_classes=("whale",), corrections=corrections)


def suspects_of(manifest: Manifest) -> str:
    """The table of a network that takes bream/0 and bream/1 for cod."""
    splits = assign_splits(manifest, SplitSettings(), seed=1)
    rows = [i for i, entry in enumerate(manifest.entries) if not entry.is_unknown]
    labels = splits.labels()[rows]
    logits = 3 * np.eye(2)[labels]
    logits[:2] = [[0, 3], [0, 2]]
    groups = [splits.groups[i] for i in rows]
    return write_table(find_suspects(make_held_out(logits, labels, groups)), manifest, splits)


def test_a_table_goes_round_and_does_nothing_by_itself(photos: Path, tmp_path: Path) -> None:
    plain = read_source(source(photos), tmp_path)
    table = tmp_path / "suspected_labels.csv"
    table.write_text(suspects_of(plain))
    untouched = read_source(source(photos, table), tmp_path)
    assert untouched.entries == plain.entries
    assert untouched.quarantined == plain.quarantined

    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [(row["path"], row["suggestion"], row["action"]) for row in rows] == [
        ("bream/0.png", "cod", ""),
        ("bream/1.png", "cod", ""),
    ]
    rows[0]["action"], rows[1]["action"], rows[1]["suggestion"] = "exclude", "Relabel ", "whale"
    with table.open("w") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    changed = read_source(source(photos, table), tmp_path)
    entries = {entry.path: entry for entry in changed.entries}
    assert "bream/0.png" not in entries
    assert [each.path for each in changed.quarantined] == ["bream/0.png"]
    assert (entries["bream/1.png"].class_name, entries["bream/1.png"].is_unknown) == ("whale", True)
    assert len(entries) == len(plain.entries) - 1
    digests = {each.source_digest for each in (plain, untouched, changed)}
    assert len(digests) == 3
    assert digest_source(source(photos, table), tmp_path) == changed.source_digest


@pytest.fixture
def copied(photos: Path) -> Path:
    """As `photos`, bream/0 a second time under its own label and a third time as a cod."""
    for copy in ("bream/copy.png", "cod/copy.png"):
        (photos / copy).write_bytes((photos / "bream" / "0.png").read_bytes())
    return photos


@pytest.mark.parametrize("action", ["exclude", "relabel"])
def test_copies_of_the_same_bytes_follow_a_correction_and_are_told_once(
    copied: Path, tmp_path: Path, action: str
) -> None:
    table = tmp_path / "table.csv"
    table.write_text(f"path,label,suggestion,action\nbream/0.png,bream,cod,{action}\n")
    manifest = read_source(source(copied, table), tmp_path)
    copies = ["bream/0.png", "bream/copy.png", "cod/copy.png"]
    found = [(entry.path, entry.class_name) for entry in manifest.entries if entry.path in copies]
    assert found == ([(path, "cod") for path in copies] if action == "relabel" else [])
    assert [each.path for each in manifest.quarantined] == (copies if action == "exclude" else [])
    assert [each.count for each in manifest.remarks if "follow" in each.what] == [2]
    assert assign_splits(manifest, SplitSettings(), seed=1).quarantined == ()


def test_two_rows_may_not_correct_the_same_bytes_differently(copied: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(
        "path,label,suggestion,action\nbream/0.png,bream,cod,relabel\nbream/copy.png,bream,whale,relabel\n"
    )
    with pytest.raises(SourceError, match=r"line 3: bream/copy\.png .* line 2"):
        read_source(source(copied, table), tmp_path)


@pytest.mark.parametrize("name", ["whale", "cod"])
def test_a_class_that_loses_its_last_image_is_refused(photos: Path, tmp_path: Path, name: str) -> None:
    table = tmp_path / "table.csv"
    rows = [f"{name}/{i}.png,{name},bream,{('exclude', 'relabel')[i % 2]}" for i in range(8)]
    table.write_text("\n".join(["path,label,suggestion,action", *rows[:7]]))
    assert len(read_source(source(photos, table), tmp_path).entries) == 20
    table.write_text("\n".join(["path,label,suggestion,action", *rows]))
    with pytest.raises(SourceError, match=f"no image of {name} is left"):
        read_source(source(photos, table), tmp_path)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("bream/99.png,bream,cod,exclude", "no image 'bream/99.png'"),
        ("bream/0.png,cod,cod,exclude", "is labelled 'bream', not 'cod'"),
        ("bream/0.png,bream,shark,relabel", "no class 'shark'"),
        ("bream/0.png,bream,cod,delete", "action 'delete'"),
        ("bream/0.png,bream,cod,exclude\nbream/0.png,bream,cod,exclude", "line 3: .*two rows"),
    ],
)
def test_what_does_not_fit_is_refused(photos: Path, tmp_path: Path, rows: str, words: str) -> None:
    table = tmp_path / "table.csv"
    table.write_text(f"path,label,suggestion,action\n{rows}\n")
    with pytest.raises(SourceError, match=words):
        read_source(source(photos, table), tmp_path)


def test_a_file_that_is_missing_or_lacks_columns_is_refused(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        digest_source(source(photos, tmp_path / "none.csv"), tmp_path)
    (tmp_path / "short.csv").write_text("path;label\n")
    with pytest.raises(SourceError, match="no column path"):
        read_source(source(photos, tmp_path / "short.csv"), tmp_path)


def test_many_excluded_images_are_told_as_one_kind_and_do_not_stop_the_run(
    photos: Path, tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    rows = [f"bream/{i}.png,bream,cod,exclude" for i in range(3)]
    table.write_text("\n".join(["path,label,suggestion,action", *rows]))
    manifest = read_source(source(photos, table), tmp_path)
    splits = assign_splits(manifest, SplitSettings(), seed=1)
    told = " ".join(tell_files(manifest, splits))
    assert "3: excluded by dataset.corrections;" in told
    settings = CheckSettings(min_images_per_class=4, min_groups_per_class=4, max_quarantined=0.1)
    check_splits(manifest, splits, settings)
    broken = tuple(each.model_copy(update={"reason": "not an image"}) for each in manifest.quarantined)
    with pytest.raises(DataError, match="3 of 24 files cannot be used"):
        check_splits(manifest.model_copy(update={"quarantined": broken}), splits, settings)

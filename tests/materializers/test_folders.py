"""Decoded images cross to a machine that has another disk, whole and unaltered or not at all."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from zenml.io.local_filesystem import LocalFilesystem

from materializers import FolderMaterializer
from vision.base.errors import StorageError
from vision.data.records import DatasetRef
from vision.data.store import open_images

PIXELS = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)


class Bucket(LocalFilesystem):
    """A store that several machines share."""

    SUPPORTED_SCHEMES: ClassVar[set[str]] = {""}
    config = SimpleNamespace(is_local=False)


def decode(home: Path) -> DatasetRef:
    """A small decoded store in a project."""
    folder = home / "state" / "images" / "key"
    folder.mkdir(parents=True)
    np.save(folder / "images.npy", PIXELS)
    (folder / "store.json").write_text('{"content_hash": "abc"}', encoding="utf-8")
    return DatasetRef(path=str(folder), content_hash="abc", num_images=2, image_size=4, resize="pad")


def load(uri: Path) -> DatasetRef:
    found = materializer(uri).load(DatasetRef)
    assert isinstance(found, DatasetRef)
    return found


def materializer(uri: Path) -> FolderMaterializer:
    uri.mkdir(parents=True, exist_ok=True)
    return FolderMaterializer(str(uri), artifact_store=Bucket())  # type: ignore[arg-type]


def test_the_images_follow_their_reference_to_another_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAXON_STATE", str(tmp_path / "here"))
    saved = decode(tmp_path / "here")
    materializer(tmp_path / "bucket").save(saved)
    monkeypatch.setenv("TAXON_STATE", str(tmp_path / "there"))
    for _ in range(2):  # the second finds them on the disk
        loaded = load(tmp_path / "bucket")
        assert Path(loaded.path) == tmp_path / "there" / "state" / "images" / "key"
        assert np.array_equal(open_images(loaded), PIXELS)
        (tmp_path / "bucket" / "images.npy").unlink(missing_ok=True)


def test_a_copy_that_was_cut_off_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXON_STATE", str(tmp_path / "here"))
    materializer(tmp_path / "bucket").save(decode(tmp_path / "here"))
    monkeypatch.setenv("TAXON_STATE", str(tmp_path / "there"))
    first, _ = DatasetRef.FILES
    cut_off = tmp_path / "there" / "state" / "images" / "key" / first
    cut_off.parent.mkdir(parents=True)
    cut_off.write_bytes(b"of another copy")
    assert np.array_equal(open_images(load(tmp_path / "bucket")), PIXELS)


def test_images_that_were_altered_in_the_bucket_are_refused_and_none_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAXON_STATE", str(tmp_path / "here"))
    materializer(tmp_path / "bucket").save(decode(tmp_path / "here"))
    with (tmp_path / "bucket" / "images.npy").open("r+b") as file:
        file.truncate(100)
    monkeypatch.setenv("TAXON_STATE", str(tmp_path / "there"))
    with pytest.raises(StorageError, match=r"images\.npy does not hold .* cut short"):
        load(tmp_path / "bucket")
    assert [path for path in (tmp_path / "there").rglob("*") if path.is_file()] == []


def test_inside_the_project_nothing_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXON_STATE", str(tmp_path))
    inside = tmp_path / "state" / "zenml" / "artifact"
    materializer(inside).save(decode(tmp_path))
    assert [path.name for path in inside.iterdir()] == ["record.json"]
    assert np.array_equal(open_images(load(inside)), PIXELS)

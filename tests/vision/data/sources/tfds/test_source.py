"""A set by its name: written once, its own splits kept, and told at once where it is not to be had."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import tensorflow_datasets as tfds

from tests.end_to_end.project import draw_image
from tests.vision.data.sources.tfds.tiny import write_tiles
from vision.base.errors import SourceError
from vision.config.sources.labelled import TfdsSource
from vision.data.records import Split
from vision.data.sources import digest_source, read_source

FASHION = Path("/usr/share/datasets/fashion-mnist")


def tiny(folder: Path, **settings: Any) -> TfdsSource:
    write_tiles(folder / "files", 30)
    return TfdsSource(name="tiny_tiles", data_dir=folder / "tfds", files=folder / "files", **settings)


@pytest.mark.slow
def test_its_splits_are_trees_and_it_is_written_once(tmp_path: Path) -> None:
    settings, data = tiny(tmp_path), tmp_path / "data"
    manifest = read_source(settings, data)
    assert manifest.class_names == ("T-shirt/top", "bag", "boot")
    assert Counter(entry.tree for entry in manifest.entries) == {Split.TRAIN: 20, Split.TEST: 9}
    assert [remark.count for remark in manifest.remarks] == [1]
    shutil.rmtree(tmp_path / "tfds")
    shutil.rmtree(tmp_path / "files")
    assert read_source(settings, data) == manifest


@pytest.mark.slow
def test_parts_of_splits_and_a_single_one(tmp_path: Path) -> None:
    data = tmp_path / "data"
    parts = read_source(tiny(tmp_path, splits=("train[:9]", "test")), data)
    assert Counter(entry.tree for entry in parts.entries) == {Split.TRAIN: 9, Split.TEST: 9}
    alone = read_source(tiny(tmp_path, splits=("train",), skip_classes=("bag",)), data)
    assert {entry.tree for entry in alone.entries} == {None}
    assert alone.class_names == ("T-shirt/top", "boot")
    with pytest.raises(SourceError, match="extra"):
        read_source(tiny(tmp_path, splits=("extra",)), data)


@pytest.mark.slow
def test_a_set_prepared_in_the_older_format_gives_the_same(tmp_path: Path) -> None:
    settings = tiny(tmp_path)
    digest = digest_source(settings, tmp_path / "data")
    older = settings.model_copy(update={"data_dir": tmp_path / "older", "files": None})
    config = tfds.download.DownloadConfig(manual_dir=tmp_path / "files")
    builder = tfds.builder("tiny_tiles", data_dir=tmp_path / "older", file_format="tfrecord")
    builder.download_and_prepare(download_config=config)
    assert digest_source(older, tmp_path / "data") == digest


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fashion_mnist", r"fashion_mnist/3\.0\.1 .*absent.*download=true.*t10k-images-idx3-ubyte\.gz"),
        ("fashion_mnits", "did you mean fashion_mnist"),
        ("fashion_mnist:9.9.9", r"9\.9\.9"),
        ("ag_news_subset", "no set for image classification"),
    ],
)
def test_what_cannot_be_had_is_told_without_asking_the_network(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        read_source(TfdsSource(name=name, data_dir=tmp_path / "absent"), tmp_path / "data")


@pytest.mark.slow
def test_a_folder_is_read_by_its_own_builder_and_anew_when_it_changes(tmp_path: Path) -> None:
    folder, data = tmp_path / "fish", tmp_path / "data"
    for number, place in enumerate(["train/perch", "train/chub", "val/perch", "test/perch", "test/chub"]):
        for each in range(3):
            (folder / place).mkdir(parents=True, exist_ok=True)
            draw_image(folder / place / f"{each}.png", (40 * number, 90, 80 * each), (number, each))
    settings = TfdsSource(name="image_folder", files=folder)
    manifest = read_source(settings, data)
    assert manifest.class_names == ("chub", "perch")
    uses = Counter((entry.class_name, entry.tree) for entry in manifest.entries)
    assert uses[("perch", Split.VALIDATION)] == uses[("chub", Split.TEST)] == 3
    own = {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.png")}
    assert {entry.digest for entry in manifest.entries} == own  # the files as they are
    assert read_source(settings, tmp_path / "other").source_digest == digest_source(settings, data)
    (folder / "test/perch/0.png").unlink()
    assert len(read_source(settings, data).entries) == 14


@pytest.mark.parametrize(("files", "words"), [(None, "none is no folder"), ("empty", "finds no picture")])
def test_a_folder_that_is_no_set_is_refused(tmp_path: Path, files: str | None, words: str) -> None:
    (tmp_path / "empty" / "perch").mkdir(parents=True)
    settings = TfdsSource(name="image_folder", files=tmp_path / files if files else None)
    with pytest.raises(SourceError, match=words):
        read_source(settings, tmp_path / "data")


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "t10k-images-idx3-ubyte.gz").touch()
    settings = TfdsSource(name="fashion_mnist", data_dir=tmp_path, files=tmp_path)
    with pytest.raises(SourceError, match=r"lacks t10k-labels-idx1-ubyte\.gz, train-images"):
        read_source(settings, tmp_path / "data")


@pytest.mark.slow
def test_files_of_another_set_are_told(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "tiles.gz").write_bytes(b"no archive")
    settings = TfdsSource(name="tiny_tiles", data_dir=tmp_path, files=tmp_path / "files")
    with pytest.raises(SourceError, match="could not be prepared: BadGzipFile"):
        read_source(settings, tmp_path / "data")


@pytest.mark.long
@pytest.mark.skipif(not FASHION.is_dir(), reason="needs Debian's dataset-fashion-mnist")
def test_fashion_mnist_from_its_files(tmp_path: Path) -> None:
    settings = TfdsSource(name="fashion_mnist", data_dir=tmp_path / "tfds", files=FASHION)
    manifest = read_source(settings, tmp_path / "data")
    assert Counter(entry.tree for entry in manifest.entries) == {Split.TRAIN: 60_000, Split.TEST: 10_000}
    assert set(Counter(entry.class_name for entry in manifest.entries).values()) == {7_000}
    assert manifest.source_digest == digest_source(settings, tmp_path / "data")

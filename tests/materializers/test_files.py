"""Sets of files come back whole, from where they lie or fetched, or are refused by name."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from materializers import (
    FilesMaterializer,
)
from tests.materializers.stored import FakeStore, bundle, model_file, store
from vision.base.errors import BundleError, StorageError, TaxonError
from vision.base.outputs import ModelFile
from vision.base.record import FileSet
from vision.bundle.records import Bundle

pytestmark = pytest.mark.usefixtures("views")


def test_local_file_set_is_loaded_in_place_without_a_copy(tmp_path: Path) -> None:
    saved = bundle(tmp_path / "work")
    loaded = store(FilesMaterializer, saved, tmp_path / "art").load(Bundle)
    assert loaded.root == tmp_path / "art" / "files"
    assert loaded.digest == saved.digest
    assert loaded.path("graphs/fp16.tflite").read_bytes() == b"graph"
    assert "root" not in json.loads((tmp_path / "art" / "record.json").read_text(encoding="utf-8"))


def test_remote_file_set_is_fetched_into_a_folder_of_its_own(tmp_path: Path) -> None:
    remote = FakeStore(is_local=False)
    reader = store(FilesMaterializer, bundle(tmp_path / "work"), tmp_path / "art", artifact_store=remote)
    loaded = reader.load(Bundle)
    assert tmp_path / "art" not in loaded.root.parents
    assert loaded.path("graphs/fp16.tflite").read_bytes() == b"graph"


@pytest.mark.parametrize("is_local", [True, False])
def test_one_changed_byte_is_refused_by_name(tmp_path: Path, *, is_local: bool) -> None:
    artifact_store = FakeStore(is_local=is_local)
    reader = store(FilesMaterializer, bundle(tmp_path / "w"), tmp_path / "a", artifact_store=artifact_store)
    (tmp_path / "a" / "files" / "graphs" / "fp16.tflite").write_bytes(b"grapi")
    with pytest.raises(BundleError, match=r"graphs/fp16\.tflite has SHA-256 .* altered"):
        reader.load(Bundle)


def test_file_set_with_an_altered_field_is_refused_by_the_recorded_hash(tmp_path: Path) -> None:
    saved = model_file(tmp_path / "work")
    reader = store(FilesMaterializer, saved, tmp_path / "art")
    reader.expected_content_hash = reader.compute_content_hash(saved)
    assert reader.load(ModelFile).num_parameters == 7
    record = tmp_path / "art" / "record.json"
    fields = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps(fields | {"num_parameters": 8}), encoding="utf-8")
    with pytest.raises(StorageError, match="altered or cut short"):
        reader.load(ModelFile)


@pytest.mark.parametrize(
    ("make", "kind", "name", "error"),
    [(bundle, Bundle, "contract.json", BundleError), (model_file, ModelFile, "model.keras", StorageError)],
)
def test_missing_file_is_refused_by_name(
    tmp_path: Path, make: Any, kind: type[FileSet], name: str, error: type[TaxonError]
) -> None:
    reader = store(FilesMaterializer, make(tmp_path / "work"), tmp_path / "art")
    (tmp_path / "art" / "files" / name).unlink()
    with pytest.raises(error, match=f"{re.escape(name)} is missing"):
        reader.load(kind)


def test_file_that_changed_before_it_was_stored_is_refused(tmp_path: Path) -> None:
    saved = model_file(tmp_path / "work")
    saved.path("model.keras").write_bytes(b"other")
    with pytest.raises(StorageError, match="altered"):
        store(FilesMaterializer, saved, tmp_path / "art")


@pytest.mark.parametrize("name", ["../escape", "/etc/hostname", "a/../../b"])
def test_file_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    reader = store(FilesMaterializer, model_file(tmp_path / "work"), tmp_path / "art")
    record = tmp_path / "art" / "record.json"
    fields = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps(fields | {"files": {name: "0" * 64}}), encoding="utf-8")
    with pytest.raises(StorageError, match="relative name inside its folder"):
        reader.load(ModelFile)


def test_file_set_content_hash_ignores_where_it_lies(tmp_path: Path) -> None:
    hash_of = FilesMaterializer("").compute_content_hash
    assert hash_of(model_file(tmp_path / "a")) == hash_of(model_file(tmp_path / "b"))
    assert hash_of(model_file(tmp_path / "a")) != hash_of(model_file(tmp_path / "c", b"other"))

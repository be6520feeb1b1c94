"""What is stored comes back equal, altered files are refused, and nothing falls back to pickle."""

import errno
import hashlib
import importlib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from zenml.enums import VisualizationType
from zenml.io.local_filesystem import LocalFilesystem
from zenml.materializers.base_materializer import BaseMaterializer
from zenml.materializers.materializer_registry import materializer_registry

import vision
from materializers import (
    ArraysByNameMaterializer,
    ArraysMaterializer,
    FilesMaterializer,
    FolderMaterializer,
    RecordMaterializer,
    TextMaterializer,
)
from tests.vision.data.entries import entry, manifest_of
from vision.base.errors import BundleError, StorageError, TaxonError
from vision.base.outputs import ModelFile, ModelOutputs
from vision.base.record import FileSet, FolderRecord, Interval, Record
from vision.bundle.records import Bundle
from vision.data.records import Manifest
from vision.decision.records import OodDetector, Temperature
from vision.drift.window import Window
from vision.gate.records import Verdict
from vision.training.records import TrainingHistory


class FakeStore(LocalFilesystem):
    """A file system that calls itself local or remote."""

    SUPPORTED_SCHEMES: ClassVar[set[str]] = {""}

    def __init__(self, *, is_local: bool = True) -> None:
        self.config = SimpleNamespace(is_local=is_local)


class FullStore(FakeStore):
    """A file system without room."""

    @staticmethod
    def open(path: Any, mode: str = "r") -> Any:
        if "w" in mode:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        return LocalFilesystem.open(path, mode)


@pytest.fixture(autouse=True)
def views(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    module = ModuleType("report.figures")
    module.draw_views = lambda _record: {"curve.png": b"\x89PNG", "summary.md": "# fine"}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "report.figures", module)
    return module


def temperature(value: float = 1.5) -> Temperature:
    gain = Interval(value=0.1, low=0.05, high=float("nan"))
    return Temperature(
        value=value,
        applied=True,
        fitted_value=value,
        nll_before=0.9,
        nll_after=0.8,
        gain=gain,
        num_images=40,
        num_groups=20,
    )


def outputs(num: int = 6) -> ModelOutputs:
    rng = np.random.default_rng(1)
    return ModelOutputs(
        rows=np.arange(num, dtype=np.int64),
        logits=rng.normal(size=(num, 3)).astype(np.float32),
        embeddings=rng.normal(size=(num, 5)).astype(np.float32),
        quality=rng.normal(size=(num, 2)).astype(np.float32),
        kernel=rng.normal(size=(5, 3)).astype(np.float32),
        bias=np.zeros(3, dtype=np.float32),
    )


def model_file(folder: Path, content: bytes = b"weights") -> ModelFile:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.keras").write_bytes(content)
    return ModelFile(
        root=folder,
        files={"model.keras": hashlib.sha256(content).hexdigest()},
        candidate="cnn",
        backbone="cnn",
        num_parameters=7,
        embedding_width=5,
    )


def bundle(folder: Path) -> Bundle:
    (folder / "graphs").mkdir(parents=True)
    (folder / "graphs" / "fp16.tflite").write_bytes(b"graph")
    (folder / "contract.json").write_bytes(b"{}")
    digest = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("graphs/fp16.tflite", "contract.json")
    }
    return Bundle(root=folder, files=digest, name="reef")


def store(
    kind: type[BaseMaterializer], value: Any, folder: Path, *, artifact_store: FakeStore | None = None
) -> Any:
    """Save a value as ZenML would; the materializer that reads it back."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen: Any = artifact_store or FakeStore()
    kind(str(folder), chosen).save(value)
    return kind(str(folder), chosen)


# --- records --------------------------------------------------------------------------------------------


def test_record_comes_back_equal_also_where_it_is_not_finite(tmp_path: Path) -> None:
    loaded = store(RecordMaterializer, temperature(), tmp_path).load(Temperature)
    assert np.isnan(loaded.gain.high)
    assert loaded.model_dump_json() == temperature().model_dump_json()


def test_record_with_an_altered_field_is_refused_by_the_recorded_hash(tmp_path: Path) -> None:
    reader = store(RecordMaterializer, temperature(1.5), tmp_path)
    reader.expected_content_hash = reader.compute_content_hash(temperature(1.5))
    assert reader.load(Temperature).value == 1.5
    store(RecordMaterializer, temperature(1.6), tmp_path)
    with pytest.raises(StorageError, match=r"record\.json does not hold the record .* altered or cut short"):
        reader.load(Temperature)


def test_truncated_record_is_a_storage_error(tmp_path: Path) -> None:
    reader = store(RecordMaterializer, temperature(), tmp_path)
    file = tmp_path / "record.json"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(StorageError, match="altered or cut short"):
        reader.load(Temperature)


def test_record_of_an_older_class_with_fewer_fields_is_not_called_altered(tmp_path: Path) -> None:
    class Sample(Record):
        number: int = 1

    older = Sample(number=7)
    reader = store(RecordMaterializer, older, tmp_path)
    reader.expected_content_hash = reader.compute_content_hash(older)
    newer = type("Sample", (Sample,), {"__annotations__": {"added": str}, "added": "default"})
    assert reader.load(newer) == newer(number=7, added="default")


def test_columns_lie_beside_the_record_and_lists_of_before_are_still_read(tmp_path: Path) -> None:
    manifest = manifest_of([entry(f"cod/{row}.png", "a") for row in range(5)]).model_copy(
        update={"alike": [(0, 3)]}
    )
    reader = store(RecordMaterializer, manifest, tmp_path)
    reader.expected_content_hash = reader.compute_content_hash(manifest)
    assert reader.load(Manifest) == manifest
    assert "cod/0.png" not in (tmp_path / "record.json").read_text(encoding="utf-8")
    assert RecordMaterializer(str(tmp_path)).extract_metadata(manifest)["num_entries"] == 5
    columns = tmp_path / "entries.parquet"
    columns.write_bytes(columns.read_bytes()[:-9] + bytes(9))
    with pytest.raises(StorageError, match=r"entries\.parquet does not hold"):
        reader.load(Manifest)
    columns.unlink()
    with pytest.raises(StorageError, match="entries"):
        reader.load(Manifest)
    before = json.loads(manifest.model_dump_json())
    (tmp_path / "record.json").write_text(json.dumps(before), encoding="utf-8")
    canonical = json.dumps(before, sort_keys=True, separators=(",", ":"))
    reader.expected_content_hash = hashlib.sha256(f"Manifest\0{canonical}".encode()).hexdigest()
    assert reader.load(Manifest) == manifest


def test_record_metadata_holds_scalars_intervals_and_counts_but_nothing_infinite() -> None:
    class Sample(Record):
        name: str = "reef"
        verdict: Verdict = Verdict.KEPT
        share: float = 0.5
        broken: float = float("inf")
        gain: Interval = Interval(value=0.1, low=0.0, high=float("nan"))
        entries: tuple[int, ...] = (1, 2, 3)
        is_known: bool = True
        absent: str | None = None

    assert RecordMaterializer("").extract_metadata(Sample()) == {
        "name": "reef",
        "verdict": "kept",
        "share": 0.5,
        "gain": 0.1,
        "gain_low": 0.0,
        "num_entries": 3,
        "is_known": True,
    }


def test_record_views_are_stored_beside_it_with_their_type(tmp_path: Path) -> None:
    reader = store(RecordMaterializer, temperature(), tmp_path)
    assert reader.save_visualizations(temperature()) == {
        f"{tmp_path}/curve.png": VisualizationType.IMAGE,
        f"{tmp_path}/summary.md": VisualizationType.MARKDOWN,
    }
    assert (tmp_path / "curve.png").read_bytes() == b"\x89PNG"
    assert (tmp_path / "summary.md").read_text(encoding="utf-8") == "# fine"


def test_full_disk_is_a_storage_error_that_names_the_place(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=rf"{tmp_path}: cannot write: No space left.*clean --keep"):
        store(RecordMaterializer, temperature(), tmp_path, artifact_store=FullStore())
    with pytest.raises(StorageError, match="No space left"):
        store(ArraysMaterializer, outputs(), tmp_path, artifact_store=FullStore())
    with pytest.raises(StorageError, match="No space left"):
        store(FilesMaterializer, model_file(tmp_path / "work"), tmp_path / "art", artifact_store=FullStore())


# --- files ----------------------------------------------------------------------------------------------


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


# --- arrays ---------------------------------------------------------------------------------------------


def test_outputs_come_back_bit_by_bit_and_as_the_same_bytes(tmp_path: Path) -> None:
    loaded = store(ArraysMaterializer, outputs(), tmp_path / "a").load(ModelOutputs)
    for name in ("rows", "logits", "embeddings", "quality", "kernel", "bias"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(outputs(), name), strict=True)
    store(ArraysMaterializer, outputs(), tmp_path / "b")
    assert (tmp_path / "a" / "arrays.npz").read_bytes() == (tmp_path / "b" / "arrays.npz").read_bytes()


def test_a_window_of_answers_comes_back_bit_by_bit_also_without_answers(tmp_path: Path) -> None:
    for num in (0, 3):
        window = Window(
            embeddings=np.arange(2 * num, dtype=np.float16).reshape(num, 2),
            quality=np.ones((num, 1), np.float32),
            logits=np.ones((num, 2), np.float32),
            called_unknown=np.arange(num) > 1,
            clients=np.array(["a", "a", "b"][:num], np.str_),
            groups=np.array(["a/1", "", "b/1"][:num], np.str_),
            times=np.arange(num, dtype=float),
        )
        materializer = store(ArraysMaterializer, window, tmp_path / str(num))
        loaded = materializer.load(Window)
        for name, values in vars(window).items():
            np.testing.assert_array_equal(getattr(loaded, name), values, strict=True)
    described = materializer.extract_metadata(window)
    assert described == {"num_answers": 3, "num_ungrouped": 1, "num_clients": 2}


def test_altered_arrays_are_refused_by_the_recorded_hash(tmp_path: Path) -> None:
    reader = store(ArraysMaterializer, outputs(), tmp_path)
    reader.expected_content_hash = reader.compute_content_hash(outputs())
    assert len(reader.load(ModelOutputs).rows) == 6
    store(ArraysMaterializer, outputs(7), tmp_path)
    with pytest.raises(StorageError, match="altered or cut short"):
        reader.load(ModelOutputs)


def test_array_of_python_objects_is_refused(tmp_path: Path) -> None:
    detector = OodDetector(score_name="fwk", arrays={"mean": np.array([{}], dtype=object)})
    with pytest.raises(StorageError, match="Python objects"):
        store(ArraysMaterializer, detector, tmp_path)


# --- registry -------------------------------------------------------------------------------------------


def test_every_value_that_crosses_steps_has_a_materializer_of_ours() -> None:
    rooms = sorted(Path(vision.__file__).parent.glob("*/records.py"))
    modules = [importlib.import_module(f"vision.{path.parent.name}.records") for path in rooms]
    kinds = [kind for module in modules for kind in vars(module).values() if isinstance(kind, type)]
    assert {Bundle, Temperature, Verdict, TrainingHistory} <= set(kinds)
    for kind in kinds:
        if issubclass(kind, FileSet):
            assert materializer_registry[kind] is FilesMaterializer
        elif issubclass(kind, FolderRecord):
            assert materializer_registry[kind] is FolderMaterializer
        elif issubclass(kind, Record):
            assert materializer_registry[kind] is RecordMaterializer
    assert materializer_registry[ModelOutputs] is ArraysMaterializer
    assert materializer_registry[OodDetector] is ArraysMaterializer


def altered(materializer: BaseMaterializer, data: object, uri: Path) -> BaseMaterializer:
    """What loads an artifact with the recorded hash, after one byte in the middle of its file was changed."""
    materializer.expected_content_hash = materializer.compute_content_hash(data)
    (path,) = [each for each in uri.rglob("*") if each.is_file()]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return materializer


def test_a_text_is_stored_with_its_digest_and_an_altered_one_refused(tmp_path: Path) -> None:
    assert materializer_registry[str] is TextMaterializer
    stored = store(TextMaterializer, "Äsche", tmp_path / "a")
    stored.expected_content_hash = stored.compute_content_hash("Äsche")
    assert stored.load(str) == "Äsche"
    with pytest.raises(StorageError, match=r"altered or cut short"):
        altered(stored, "Äsche", tmp_path / "a").load(str)


@pytest.mark.parametrize("names", [(), ("noise",), ("noise", "letters/1.x", "Äsche")])
def test_outputs_by_name_come_back_in_their_order(tmp_path: Path, names: tuple[str, ...]) -> None:
    values = {name: outputs(2 + place) for place, name in enumerate(names)}
    assert materializer_registry[dict] is ArraysByNameMaterializer
    stored = store(ArraysByNameMaterializer, values, tmp_path / "a")
    stored.expected_content_hash = stored.compute_content_hash(values)
    loaded = stored.load(dict)
    assert list(loaded) == list(names)
    for name, value in loaded.items():
        assert isinstance(value, ModelOutputs)
        assert {key: each.tolist() for key, each in value.to_arrays().items()} == {
            key: each.tolist() for key, each in values[name].to_arrays().items()
        }


def test_altered_outputs_by_name_and_dicts_of_something_else_are_refused(tmp_path: Path) -> None:
    values = {"noise": outputs(2), "letters": outputs(3)}
    stored = store(ArraysByNameMaterializer, values, tmp_path / "a")
    with pytest.raises(StorageError, match=r"altered or cut short"):
        altered(stored, values, tmp_path / "a").load(dict)
    for wrong in ({"a": 1}, {"a": outputs(2), "b": temperature()}):
        with pytest.raises(StorageError, match=r"expected values of one class"):
            store(ArraysByNameMaterializer, wrong, tmp_path / "b")

"""Records come back equal, altered ones are refused, and nothing falls back to pickle."""

import hashlib
import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from zenml.enums import VisualizationType
from zenml.materializers.materializer_registry import materializer_registry

import vision
from materializers import (
    ArraysMaterializer,
    FilesMaterializer,
    FolderMaterializer,
    RecordMaterializer,
)
from tests.materializers.stored import FullStore, model_file, outputs, store, temperature
from tests.vision.data.entries import entry, manifest_of
from vision.base.errors import StorageError
from vision.base.outputs import ModelOutputs
from vision.base.record import FileSet, FolderRecord, Interval, Record
from vision.bundle.records import Bundle
from vision.data.records import Manifest
from vision.decision.records import OodDetector, Temperature
from vision.gate.records import Verdict
from vision.training.records import TrainingHistory

pytestmark = pytest.mark.usefixtures("views")


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

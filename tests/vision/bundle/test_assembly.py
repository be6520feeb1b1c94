"""A bundle answers only if every byte is the one that was pinned."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tests.vision import toy
from tests.vision.decision.test_predictor import make_detector, make_rule
from tests.vision.training.nets.toy import KERAS_WARNINGS, NAMES, SIZE, export_tiny, make_images
from vision.base.errors import BundleError
from vision.base.files import digest_file
from vision.base.outputs import ModelFile
from vision.bundle.assembly import (
    describe_contract,
    load_bundle,
    load_detector,
    load_reference,
    save_detector,
    write_bundle,
)
from vision.bundle.engine import Engine, run_engine
from vision.bundle.records import Bundle, Contract, ExportedGraphs
from vision.config.export import Precision
from vision.data.quality import QUALITY_COLUMNS
from vision.data.records import DatasetRef, Manifest, Split
from vision.decision.records import OodDetector
from vision.drift.reference import DriftReference, round_embeddings

FILES = ("fp16.tflite", "detector.npz", "head.npz", "reference.npz", "contract.json")

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]


def make_contract(precision: Precision = Precision.FP16) -> Contract:
    return toy.make_contract(
        make_rule(names=NAMES), backbone="cnn_residual", image_size=SIZE, precision=precision
    )


@cache
def make_tiny_reference() -> DriftReference:
    images, splits = make_images()
    rows = splits.rows(Split.CALIBRATION)
    outputs = run_engine(Engine.of(export_tiny(), Precision.FP16), images, rows)
    return DriftReference(
        embeddings=round_embeddings(outputs.embeddings),
        quality=outputs.quality,
        logits=outputs.logits,
        called_unknown=np.zeros(len(rows), dtype=bool),
        groups=np.repeat(np.arange(len(rows) // 2), 2),
        temperature=1.5,
        class_names=NAMES,
        quality_columns=QUALITY_COLUMNS,
    )


def write_tiny(folder: Path, contract: Contract | None = None) -> Bundle:
    return write_bundle(
        folder, export_tiny(), make_detector(), make_tiny_reference(), contract or make_contract()
    )


@cache
def written() -> Bundle:
    return write_tiny(Path(mkdtemp(prefix="taxon-test-")))


@pytest.fixture
def copy(tmp_path: Path) -> Bundle:
    root = tmp_path / "bundle"
    shutil.copytree(written().root, root)
    return written().model_copy(update={"root": root})


def test_a_loaded_bundle_answers_like_the_graph_that_went_in(copy: Bundle) -> None:
    images, _ = make_images()
    loaded = load_bundle(copy.root, copy.digest)
    expected = Engine.of(export_tiny(), Precision.FP16).forward(images[:4])
    forward = loaded.engine.forward(images[:4])
    assert_array_equal(forward.logits, expected.logits)
    assert_array_equal(loaded.engine.read_head()[0], Engine.of(export_tiny(), Precision.FP16).read_head()[0])
    assert loaded.digest == copy.digest
    assert loaded.contract.class_names == NAMES
    assert loaded.detector.score_name == "energy"


def test_the_contract_names_what_was_held_out_as_unknown() -> None:
    manifest = Manifest(
        root="/", source_digest="", class_names=NAMES, unknown_class_names=("burbot", "eel"), entries=()
    )
    dataset = DatasetRef(path="/", content_hash="c" * 64, num_images=0, image_size=SIZE, resize="crop")
    model = ModelFile(
        root=Path("/"), files={}, candidate="tiny", backbone="tiny", num_parameters=1, embedding_width=1
    )
    graphs = ExportedGraphs(root=Path("/"), files={}, candidate="tiny", image_size=SIZE, num_parameters=1)
    decides = make_rule(names=NAMES), make_detector()
    contract = describe_contract("toy", (manifest, dataset), model, graphs, Precision.FP16, decides)
    assert contract.unknown_class_names == ("burbot", "eel")
    assert (contract.class_names, contract.resize, contract.data_digest) == (NAMES, "crop", "c" * 64)


def test_equal_content_gives_an_equal_digest(tmp_path: Path) -> None:
    again = write_tiny(tmp_path)
    assert again.digest == written().digest
    assert sorted(again.files) == [
        "contract.json",
        "detector.npz",
        "fp16.tflite",
        "head.npz",
        "reference.npz",
    ]


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_in_any_file_is_found(copy: Bundle, name: str) -> None:
    content = bytearray(copy.path(name).read_bytes())
    position = content.index(b"tiny") if name == "contract.json" else len(content) // 2
    content[position] ^= 1
    copy.path(name).write_bytes(content)
    with pytest.raises(BundleError, match=name):
        load_bundle(copy.root, copy.digest)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(copy: Bundle, name: str) -> None:
    copy.path(name).unlink()
    with pytest.raises(BundleError, match=name):
        load_bundle(copy.root, copy.digest)


def test_an_extra_file_and_a_link_are_refused(copy: Bundle, tmp_path: Path) -> None:
    extra = copy.root / "extra.bin"
    extra.write_bytes(b"x")
    with pytest.raises(BundleError, match=r"extra\.bin"):
        load_bundle(copy.root, copy.digest)
    extra.unlink()
    graph = copy.path("fp16.tflite")
    graph.rename(tmp_path / "elsewhere.tflite")
    graph.symlink_to(tmp_path / "elsewhere.tflite")
    with pytest.raises(BundleError, match="no plain file"):
        load_bundle(copy.root, copy.digest)


def test_a_whole_bundle_that_is_not_the_pinned_one_is_refused(copy: Bundle) -> None:
    with pytest.raises(BundleError, match="expected " + "0" * 64):
        load_bundle(copy.root, "0" * 64)


def change_schema(contract: dict[str, object]) -> None:
    contract["schema_version"] = 99


def climb_out(contract: dict[str, object]) -> None:
    contract["files"] = {"../../secret": "0" * 64}


def lose_names(contract: dict[str, object]) -> None:
    del contract["class_names"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_schema, "schema version 99"),
        (climb_out, r"\.\./\.\./secret"),
        (lose_names, "class_names"),
    ],
)
def test_a_newer_climbing_or_incomplete_contract_is_refused(
    copy: Bundle, change: Callable[[dict[str, object]], None], message: str
) -> None:
    contract = json.loads(copy.path("contract.json").read_text())
    change(contract)
    copy.path("contract.json").write_text(json.dumps(contract))
    with pytest.raises(BundleError, match=message):
        load_bundle(copy.root, copy.digest)


def test_a_bundle_of_other_quality_measures_is_refused_though_its_digests_hold(tmp_path: Path) -> None:
    other = make_contract().model_copy(update={"quality_columns": QUALITY_COLUMNS[::-1]})
    bundle = write_tiny(tmp_path, other)
    for load in (load_bundle, load_reference):
        with pytest.raises(BundleError, match="holds the measures"):
            load(tmp_path, bundle.digest)


def test_a_contract_holds_no_figure_of_the_evaluation(copy: Bundle) -> None:
    contract = json.loads(copy.path("contract.json").read_text())
    assert not [name for name in contract if name.startswith("test_") or "accuracy" in name]


def test_a_precision_that_was_not_exported_is_refused(tmp_path: Path) -> None:
    graphs = export_tiny()
    fewer = graphs.model_copy(
        update={"files": {name: graphs.files[name] for name in ("fp32.tflite", "head.npz")}}
    )
    with pytest.raises(BundleError, match=r"expected fp16\.tflite"):
        write_bundle(tmp_path, fewer, make_detector(), make_tiny_reference(), make_contract())


def test_a_detector_comes_back_as_it_was_and_gives_the_same_bytes(tmp_path: Path) -> None:
    detector = OodDetector(
        "fwk", {"bank": np.arange(4.0, dtype=np.float32).reshape(2, 2), "mean": np.ones(2)}
    )
    for name in ("a.npz", "b.npz"):
        save_detector(detector, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    stored = load_detector(tmp_path / "a.npz")
    assert stored.score_name == "fwk"
    assert_array_equal(stored.arrays["bank"], detector.arrays["bank"])
    assert stored.arrays["bank"].dtype == np.float32


def drop_reference(bundle: Bundle) -> Bundle:
    """The bundle without its drift reference: one file less, digests of its own."""
    bundle.path(Bundle.REFERENCE_NAME).unlink()
    contract = json.loads(bundle.path(Bundle.CONTRACT_NAME).read_text())
    del contract["files"][Bundle.REFERENCE_NAME]
    bundle.path(Bundle.CONTRACT_NAME).write_text(json.dumps(contract))
    files = {**contract["files"], Bundle.CONTRACT_NAME: digest_file(bundle.path(Bundle.CONTRACT_NAME))}
    return bundle.model_copy(update={"files": files})


def test_a_reference_comes_back_as_it_went_in(copy: Bundle) -> None:
    stored, made = load_reference(copy.root, copy.digest), make_tiny_reference()
    for field in fields(DriftReference):
        assert_array_equal(getattr(stored, field.name), getattr(made, field.name), strict=True)
    assert stored.class_names == NAMES
    assert len(stored.embeddings) == 12  # four calibration images of each class


def test_a_bundle_without_its_reference_is_refused(copy: Bundle) -> None:
    older = drop_reference(copy)
    for load in (load_bundle, load_reference):
        with pytest.raises(BundleError, match=r"expected .*reference\.npz"):
            load(older.root, older.digest)


def test_a_reference_of_another_bundle_is_refused(copy: Bundle) -> None:
    with pytest.raises(BundleError, match="expected " + "0" * 64):
        load_reference(copy.root, "0" * 64)

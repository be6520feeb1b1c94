"""The exported graphs say what the network says; equal networks give equal bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.vision.training.nets.toy import (
    KERAS_WARNINGS,
    TFLITE,
    export_tiny,
    export_tiny_onnx,
    make_images,
    train_tiny,
)
from vision.base.errors import ExportError
from vision.bundle.engine import Engine, run_engine
from vision.bundle.records import ExportedGraphs
from vision.config.export import GraphSettings, Precision
from vision.data.records import Split
from vision.training.nets.export import export_graphs
from vision.training.nets.inference import run_model

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]


def test_two_exports_of_one_network_have_the_same_bytes_and_say_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    images, splits = make_images()
    first = export_tiny()
    capfd.readouterr()
    settings = GraphSettings(precisions=(Precision.FP16,))
    second = export_graphs(train_tiny()[0], images, splits.rows(Split.TRAIN), settings, tmp_path)
    assert sorted(second.files) == ["fp16.tflite", "head.npz"]
    assert second.files.items() <= first.files.items()
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("precision", "tolerance"), [(Precision.FP32, 1e-4), (Precision.FP16, 0.05), (Precision.INT8, 1.0)]
)
def test_a_graph_agrees_with_its_network(precision: Precision, tolerance: float) -> None:
    images, _ = make_images()
    rows = np.arange(len(images))
    trained = run_model(train_tiny()[0], images, rows)
    exported = run_engine(Engine.of(export_tiny(), precision), images, rows, batch_size=13)
    assert_allclose(exported.logits, trained.logits, atol=tolerance)
    assert (exported.logits.argmax(1) == trained.logits.argmax(1)).mean() > 0.9
    assert trained.early is not None
    assert exported.early is not None
    assert_allclose(exported.early, trained.early, atol=tolerance)
    assert_allclose(exported.kernel, trained.kernel)
    assert_allclose(exported.quality, trained.quality)


def test_an_onnx_graph_agrees_with_its_network() -> None:
    images, _ = make_images()
    graphs = export_tiny_onnx()
    assert sorted(graphs.files) == ["fp16.tflite", "fp32.tflite", "head.npz", "model.onnx"]
    assert graphs.unusable == {}
    rows = np.arange(len(images))
    trained = run_model(train_tiny()[0], images, rows)
    exported = run_engine(Engine.of(graphs, Precision.ONNX), images, rows, batch_size=13)
    assert_allclose(exported.logits, trained.logits, atol=1e-4)
    assert_allclose(exported.embeddings, trained.embeddings, atol=1e-4)


def test_lighter_precisions_are_smaller_files() -> None:
    graphs = export_tiny()
    sizes = [graphs.path(ExportedGraphs.file_name(each)).stat().st_size for each in TFLITE]
    assert sizes[0] > sizes[1] > sizes[2]


def test_int8_without_a_training_image_is_refused(tmp_path: Path) -> None:
    images, _ = make_images()
    settings = GraphSettings(precisions=(Precision.INT8,))
    with pytest.raises(ExportError, match="No training image"):
        export_graphs(train_tiny()[0], images, np.zeros(0, np.int64), settings, tmp_path)

"""A graph that would take the process along is found out in a process of its own."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.vision.training.nets.toy import KERAS_WARNINGS, TFLITE, export_tiny, make_images, train_tiny
from vision.base.errors import BundleError
from vision.bundle.engine import Engine
from vision.bundle.records import ExportedGraphs
from vision.bundle.trial import find_fault
from vision.config.export import GraphSettings, Precision
from vision.data.records import Split

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]


@cache
def export_vanishing(folder: Path) -> ExportedGraphs:
    """Graphs of a network whose features are 1e-13 and whose last layer is 1e13: int8 cannot be prepared."""
    from vision.base.files import digest_file
    from vision.base.outputs import ModelFile
    from vision.training.nets.export import export_graphs
    from vision.training.nets.model_file import save_model
    from vision.training.nets.models import LOGITS, load_trained

    images, splits = make_images()
    model = load_trained(train_tiny()[0].path(ModelFile.FILE_NAME))
    for layer in model.layers:
        if layer.name.endswith("_bn"):
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights([gamma * 1e-13, beta * 1e-13, mean, variance])
    kernel, bias = model.get_layer(LOGITS).get_weights()
    model.get_layer(LOGITS).set_weights([kernel * 1e13, bias])
    save_model(model, folder / ModelFile.FILE_NAME)
    files = {ModelFile.FILE_NAME: digest_file(folder / ModelFile.FILE_NAME)}
    file = train_tiny()[0].model_copy(update={"root": folder, "files": files})
    settings = GraphSettings(precisions=TFLITE, num_calibration_images=16)
    return export_graphs(file, images, splits.rows(Split.TRAIN), settings, folder)


def test_a_sound_graph_has_no_fault() -> None:
    assert export_tiny().unusable == {}
    assert find_fault(export_tiny().path("int8.tflite")) is None


def test_what_is_no_graph_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "fp32.tflite"
    path.write_bytes(b"not a graph")
    fault = find_fault(path)
    assert fault is not None
    assert "refused" in fault
    assert "not a valid" in fault


def test_a_graph_that_cannot_be_prepared_is_named_and_never_loaded_here(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    graphs = export_vanishing(tmp_path_factory.getbasetemp())
    assert set(graphs.unusable) == {Precision.INT8}
    assert "int8.tflite" in graphs.files
    with pytest.raises(BundleError, match=r"int8\.tflite cannot be run: LiteRT .*Name another precision"):
        Engine.of(graphs, Precision.INT8)
    images = np.full((1, 32, 32, 3), 128, np.uint8)
    assert np.isfinite(Engine.of(graphs, Precision.FP16).forward(images).logits).all()

"""Exports a network as one graph per precision, TFLite or ONNX: logits, embedding, early and cam.

The class-activation map is a 1x1 convolution with the last layer's kernel (see
`vision.training.nets.models`). Input is float32 RGB 0..255 in every precision. The last layer's
weights are written beside the graphs, because some unknown scores need them.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from vision.base.arrays import pack_arrays
from vision.base.errors import ExportError
from vision.base.files import digest_file, write_atomically
from vision.base.outputs import ModelFile
from vision.base.record import ImageArray, IntArray
from vision.bundle.records import HEAD_NAME, ExportedGraphs
from vision.bundle.trial import find_fault
from vision.config.export import GraphSettings, Precision
from vision.training.nets.models import (
    EARLY,
    EMBEDDING,
    IMAGE,
    LOGITS,
    early_statistics,
    load_trained,
    read_head,
)
from vision.training.nets.onnx_graph import convert_to_onnx
from vision.training.nets.seeding import seeded

CAM = "cam"


def export_graphs(
    model_file: ModelFile,
    images: ImageArray,
    representative_rows: IntArray,
    settings: GraphSettings,
    folder: Path,
) -> ExportedGraphs:
    """The trained network as graphs, one for each precision of the settings, each tried out.

    The images are (n, s, s, 3) uint8. int8 takes its ranges from some of the training rows, evenly spaced.
    The graphs and `head.npz` are written into `folder`.

    Raises:
        ExportError: a converter refused or is missing, or there is no image for int8.
        TrainingError: the file is not a network.
        StorageError: a graph could not be written.
    """
    if Precision.INT8 in settings.precisions and len(representative_rows) == 0:
        raise ExportError("No training image was given for the ranges of int8; expected at least one.")
    sample = _pick_evenly(representative_rows, settings.num_calibration_images)
    with seeded(0):
        model = load_trained(model_file.path(ModelFile.FILE_NAME))
        size, (kernel, bias) = int(model.input.shape[1]), read_head(model)
        outputs = with_outputs(model)
        graphs = {
            precision: _convert(outputs, precision, images, sample) for precision in settings.precisions
        }
        del model, outputs
    names = [_write(folder, ExportedGraphs.file_name(each), graph) for each, graph in graphs.items()]
    names.append(_write(folder, HEAD_NAME, pack_arrays({"kernel": kernel, "bias": bias})))
    faults = {each: find_fault(folder / ExportedGraphs.file_name(each)) for each in graphs}
    return ExportedGraphs(
        root=folder,
        files={name: digest_file(folder / name) for name in names},
        candidate=model_file.candidate,
        image_size=size,
        num_parameters=model_file.num_parameters,
        unusable={each: fault for each, fault in faults.items() if fault is not None},
    )


def with_outputs(model: keras.Model) -> keras.Model:
    """The network (n, s, s, 3) -> {logits (n, k), embedding (n, d), early (n, e), cam (n, h, w, k)}."""
    kernel, _ = read_head(model)
    pooled = model.get_layer(EMBEDDING)
    layer = layers.Conv2D(kernel.shape[1], 1, use_bias=False, name=CAM, dtype="float32")
    cam = layer(pooled.input)
    layer.set_weights([kernel[None, None]])
    outputs = {
        LOGITS: model.output,
        EMBEDDING: pooled.output,
        EARLY: early_statistics(model),
        CAM: cam,
    }
    return keras.Model({IMAGE: model.input}, outputs, name="exported")


def _convert(model: keras.Model, precision: Precision, images: ImageArray, sample: IntArray) -> bytes:
    """The graph's bytes; they depend on the weights, the precision and the sample alone."""
    if precision is Precision.ONNX:
        return convert_to_onnx(model)

    def representatives() -> Iterator[list[Any]]:
        for row in sample:
            yield [np.asarray(images[row], np.float32)[None]]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if precision is not Precision.FP32:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision is Precision.FP16:
        converter.target_spec.supported_types = [tf.float16]
    if precision is Precision.INT8:
        converter.representative_dataset = representatives
    with _silence() as said:
        try:
            graph: bytes = converter.convert()
        except Exception as error:
            said.seek(0)
            raise ExportError(
                f"The TFLite converter refused {precision}: {error}. Remove {precision} from "
                f"export.precisions, or choose another backbone. It said: {said.read()[-2000:]}"
            ) from error
    return graph


def _pick_evenly(rows: IntArray, number: int) -> IntArray:
    """At most `number` of the rows, evenly spaced, ascending."""
    positions = np.linspace(0, len(rows) - 1, min(number, len(rows))).round().astype(np.int64)
    return np.asarray(rows)[positions]


def _write(folder: Path, name: str, content: bytes) -> str:
    write_atomically(folder / name, content)
    return name


@contextlib.contextmanager
def _silence() -> Iterator[IO[str]]:
    """Keep thousands of lines of the converter, which writes past Python, in a file instead."""
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile("w+", errors="replace") as said, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept = [(number, os.dup(number)) for number in (1, 2)]
        try:
            for number, _ in kept:
                os.dup2(said.fileno(), number)
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                yield said
        finally:
            for number, copy in kept:
                os.dup2(copy, number)
                os.close(copy)

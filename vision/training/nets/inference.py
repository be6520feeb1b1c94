"""A trained network over many images: fixed batches, one trace, memory that does not grow with the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vision.base.errors import TrainingError
from vision.base.outputs import ModelFile, ModelOutputs
from vision.base.record import FloatArray, ImageArray, IntArray
from vision.data.quality import measure_quality
from vision.training.nets.models import EMBEDDING, early_statistics, load_trained, read_head
from vision.training.nets.seeding import seeded

BATCH_SIZE = 64


def run_model(model_file: ModelFile, images: ImageArray, rows: IntArray) -> ModelOutputs:
    """Logits, embeddings, early statistics and quality of rows (m,), ascending, of images (n, s, s, 3) uint8.

    Raises:
        TrainingError: the file is not a network, or it gives values that are not finite.
    """
    with seeded(0):
        model = load_trained(model_file.path(ModelFile.FILE_NAME))
        kernel, bias = read_head(model)
        tensors = [model.output, model.get_layer(EMBEDDING).output, early_statistics(model)]
        logits, embeddings, early = run_tensors(model, tensors, images, rows)
        del model, tensors
    if not all(np.isfinite(values).all() for values in (logits, embeddings, early)):
        raise TrainingError(
            f"{model_file.candidate} gives values that are not finite. Lower its learning_rate and train it "
            "again."
        )
    return ModelOutputs(
        rows=np.asarray(rows, np.int64),
        logits=logits,
        embeddings=embeddings,
        quality=measure_rows(images, rows),
        kernel=kernel,
        bias=bias,
        early=early,
    )


def measure_rows(images: ImageArray, rows: IntArray) -> FloatArray:
    """Quality columns (m, q) of some rows of `images`, read in batches."""
    parts = [measure_quality(images[rows[i : i + BATCH_SIZE]]) for i in range(0, len(rows), BATCH_SIZE)]
    return np.concatenate(parts) if parts else measure_quality(images[:0])


def run_layers(
    model: keras.Model, names: Sequence[str], inputs: NDArray[Any], rows: IntArray
) -> list[FloatArray]:
    """Outputs of some layers for some rows of `inputs`, each (m, ...) float32, in one pass."""
    return run_tensors(model, [model.get_layer(name).output for name in names], inputs, rows)


def run_tensors(
    model: keras.Model, tensors: Sequence[keras.KerasTensor], inputs: NDArray[Any], rows: IntArray
) -> list[FloatArray]:
    """Values of some tensors of a model for some rows of `inputs`, each (m, ...) float32, in one pass."""
    collected: list[list[FloatArray]] = [[] for _ in tensors]
    for chunk in run_batches(keras.Model(model.input, tensors), inputs, rows):
        for parts, values in zip(collected, chunk, strict=True):
            parts.append(values)
    empty = [np.zeros((0, *tensor.shape[1:]), np.float32) for tensor in tensors]
    return [np.concatenate([none, *parts]) for none, parts in zip(empty, collected, strict=True)]


def run_batches(model: keras.Model, inputs: NDArray[Any], rows: IntArray) -> Any:
    """Yield the outputs (a list of float32 arrays) of a model with several outputs, batch by batch."""
    batch_size = max(1, min(BATCH_SIZE, len(rows)))
    forward = _trace(model, batch_size, inputs.shape[1:], inputs.dtype)
    for start in range(0, len(rows), batch_size):
        chosen = rows[start : start + batch_size]
        batch = np.zeros((batch_size, *inputs.shape[1:]), inputs.dtype)
        batch[: len(chosen)] = inputs[chosen]
        yield [value.numpy()[: len(chosen)].astype(np.float32) for value in forward(batch)]


def _trace(
    model: keras.Model, batch_size: int, shape: tuple[int, ...], kind: np.dtype[Any]
) -> Callable[[NDArray[Any]], list[tf.Tensor]]:
    signature = [tf.TensorSpec((batch_size, *shape), tf.as_dtype(kind))]

    def forward(batch: tf.Tensor) -> list[tf.Tensor]:
        outputs: list[tf.Tensor] = tf.nest.flatten(model(tf.cast(batch, tf.float32), training=False))
        return outputs

    traced: Callable[[NDArray[Any]], list[tf.Tensor]] = tf.function(forward, input_signature=signature)
    return traced

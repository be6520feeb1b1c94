"""Which image comes when, and how it is changed, follows from seed and epoch alone.

Order and random changes are tables drawn from `Philox(key=[seed, epoch])`, looked up by image, so they do
not depend on threads, on batch boundaries or on where a training was taken up again. Images are gathered
from the memory-mapped array by index: the array is never copied into TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vision.base.record import FloatArray, IntArray
from vision.config.training import AugmentSettings

_NUM_DRAWS = 7
_GATHERERS = 2


@dataclass(frozen=True, eq=False)
class Examples:
    """What a network learns from or is judged on.

    Attributes:
        inputs: (n, ...) array that is indexed by row: images uint8 or cached features float16.
        rows: (m,) int64, the rows of `inputs` that are used.
        labels: (m,) int64.
        num_classes: k.
        weights: (m,) float32, how much each example counts.
    """

    inputs: NDArray[Any]
    rows: IntArray
    labels: IntArray
    num_classes: int
    weights: FloatArray

    def one_hot(self) -> FloatArray:
        """(m, k) float32."""
        return np.eye(self.num_classes, dtype=np.float32)[self.labels]


def balance_weights(labels: IntArray, num_classes: int, *, largest_ratio: float = 3.0) -> FloatArray:
    """Weight of every example, mean 1: inverse class frequency where classes differ much in size.

    Args:
        labels: (m,) int64.
        num_classes: k.
        largest_ratio: up to this ratio of the largest to the smallest class all weights are 1.
    """
    counts = np.bincount(labels, minlength=num_classes)
    present = counts[counts > 0]
    if present.max() <= largest_ratio * present.min():
        return np.ones(len(labels), dtype=np.float32)
    weights: FloatArray = (len(labels) / (len(present) * counts[labels])).astype(np.float32)
    return weights


def draw_epoch(num_examples: int, seed: int, epoch: int) -> tuple[IntArray, FloatArray]:
    """Order (m,) and random numbers (m, 7) in [0, 1) of one epoch; draws[i] belongs to example i."""
    rng = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    return rng.permutation(num_examples), rng.random((num_examples, _NUM_DRAWS), dtype=np.float32)


def training_batches(
    examples: Examples, batch_size: int, epochs: int, seed: int, augment: AugmentSettings | None
) -> tuple[tf.data.Dataset, int]:
    """Batches (inputs, one-hot labels, weights) of all epochs in one stream, and the steps of an epoch.

    Every batch is full: the examples left over at the end of an epoch are other ones in each epoch.
    """
    num_examples = len(examples.rows)
    batch_size = min(batch_size, num_examples)
    steps = num_examples // batch_size
    one_hot = examples.one_hot()

    @lru_cache(maxsize=3)
    def epoch_tables(epoch: int) -> tuple[IntArray, FloatArray]:
        return draw_epoch(num_examples, seed, epoch)

    def gather(step: np.int64) -> tuple[Any, ...]:
        order, draws = epoch_tables(int(step) // steps)
        start = int(step) % steps * batch_size
        chosen = order[start : start + batch_size]
        changes = _describe_changes(draws[chosen], augment, examples.inputs.shape[1])
        inputs = np.asarray(examples.inputs[examples.rows[chosen]])
        return inputs, one_hot[chosen], examples.weights[chosen], *changes

    kinds = [tf.as_dtype(examples.inputs.dtype), *[tf.float32] * 5]
    shapes = [(*examples.inputs.shape[1:],), (examples.num_classes,), (), (8,), (), ()]

    def fetch(step: tf.Tensor) -> tuple[tf.Tensor, ...]:
        parts = tf.numpy_function(gather, [step], kinds, stateful=False)
        for part, shape in zip(parts, shapes, strict=True):
            part.set_shape((batch_size, *shape))
        inputs, labels, weights, transforms, shifts, factors = parts
        inputs = tf.cast(inputs, tf.float32)
        if augment is not None:
            inputs = change_images(inputs, transforms, shifts, factors)
        return inputs, labels, weights

    stream = tf.data.Dataset.range(epochs * steps).map(
        fetch, num_parallel_calls=_GATHERERS, deterministic=True
    )
    return stream.prefetch(2), steps


def plain_batches(examples: Examples, batch_size: int) -> tf.data.Dataset:
    """Batches (inputs, one-hot labels) in order, unchanged, the last one as long as it is."""
    one_hot = examples.one_hot()
    kinds = [tf.as_dtype(examples.inputs.dtype), tf.float32]

    def gather(positions: IntArray) -> tuple[Any, ...]:
        return np.asarray(examples.inputs[examples.rows[positions]]), one_hot[positions]

    def fetch(positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        inputs, labels = tf.numpy_function(gather, [positions], kinds, stateful=False)
        inputs.set_shape((None, *examples.inputs.shape[1:]))
        labels.set_shape((None, examples.num_classes))
        return tf.cast(inputs, tf.float32), labels

    stream = tf.data.Dataset.range(len(examples.rows)).batch(batch_size)
    return stream.map(fetch, num_parallel_calls=_GATHERERS, deterministic=True).prefetch(2)


def change_images(
    images: tf.Tensor, transforms: tf.Tensor, shifts: tf.Tensor, factors: tf.Tensor
) -> tf.Tensor:
    """Images (b, s, s, 3) in 0..255 moved, then with other contrast and brightness, clipped to 0..255.

    Args:
        images: float32.
        transforms: (b, 8) projective transforms from output to input pixels.
        shifts: (b,) added to every value.
        factors: (b,) stretch the values about the image's mean.
    """
    side = tf.shape(images)[1]
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=[side, side],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    means = tf.reduce_mean(moved, axis=[1, 2, 3], keepdims=True)
    factors, shifts = factors[:, None, None, None], shifts[:, None, None, None]
    return tf.clip_by_value((moved - means) * factors + means + shifts, 0.0, 255.0)


def describe_transform(
    flip: NDArray[np.bool_], angle: FloatArray, zoom: FloatArray, shift: FloatArray, side: int
) -> FloatArray:
    """Projective transforms (b, 8), output pixel to input pixel, about the image's centre.

    Args:
        flip: (b,) whether left and right change places.
        angle: (b,) radians.
        zoom: (b,) above 1 shows less of the image, larger.
        shift: (b, 2) pixels right and down.
        side: s, pixels.
    """
    centre = (side - 1) / 2
    cosine, sine = np.cos(angle) / zoom, np.sin(angle) / zoom
    sign = np.where(flip, -1.0, 1.0)
    a, b, c, d = sign * cosine, -sign * sine, sine, cosine
    x0 = centre - a * (centre + shift[:, 0]) - b * (centre + shift[:, 1])
    y0 = centre - c * (centre + shift[:, 0]) - d * (centre + shift[:, 1])
    zero = np.zeros_like(a)
    return np.stack([a, b, x0, c, d, y0, zero, zero], axis=1).astype(np.float32)


def _describe_changes(draws: FloatArray, augment: AugmentSettings | None, side: int) -> Iterator[FloatArray]:
    """Transforms (b, 8), brightness shifts (b,) and contrast factors (b,) from draws (b, 7) in [0, 1)."""
    augment = augment or AugmentSettings(
        flip=False, translation=0, rotation_degrees=0, zoom=0, brightness=0, contrast=0
    )
    either_way = 2.0 * draws - 1.0
    yield describe_transform(
        flip=augment.flip & (draws[:, 0] < 0.5),
        angle=np.deg2rad(augment.rotation_degrees) * either_way[:, 1],
        zoom=(1.0 + augment.zoom) ** either_way[:, 2],
        shift=augment.translation * side * either_way[:, 3:5],
        side=side,
    )
    yield (255.0 * augment.brightness * either_way[:, 5]).astype(np.float32)
    yield (1.0 + augment.contrast * either_way[:, 6]).astype(np.float32)

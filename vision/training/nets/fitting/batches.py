"""Batches of training images; order and random changes depend on seed, epoch and step alone.

Order and random numbers are tables drawn from `Philox(key=[seed, epoch])`, looked up by image, so they do
not depend on threads or on where a training was taken up again. Images are gathered from the memory-mapped
array by index: the array is never copied into TensorFlow.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vision.base.record import FloatArray, IntArray
from vision.config.augment import NOTHING, AugmentSettings
from vision.training.nets.fitting.augmentation import NUM_MOVES, NUM_SQUARES, Augmentation

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
        teacher: (m, k) float32, softened probabilities that a teacher gives; None where there is none.
    """

    inputs: NDArray[Any]
    rows: IntArray
    labels: IntArray
    num_classes: int
    weights: FloatArray
    teacher: FloatArray | None = None

    def one_hot(self) -> FloatArray:
        """(m, k) float32."""
        return np.eye(self.num_classes, dtype=np.float32)[self.labels]

    def part(self, index: int, number: int) -> Examples:
        """Part `index` of `number` parts that differ by at most one example."""
        chosen = slice(index, None, number)
        rows, labels, weights = self.rows[chosen], self.labels[chosen], self.weights[chosen]
        return Examples(self.inputs, rows, labels, self.num_classes, weights)

    def targets(self) -> FloatArray:
        """(m, k) one-hot labels or, with a teacher, (m, 2k): labels, then its probabilities; float32."""
        one_hot = self.one_hot()
        return one_hot if self.teacher is None else np.hstack([one_hot, self.teacher.astype(np.float32)])


LARGEST_RATIO = 3.0
"""Of the largest to the smallest class, up to which `balance: auto` lets every image count alike."""


def balance_weights(labels: IntArray, num_classes: int, balance: str = "auto") -> FloatArray:
    """Weight (m,) of every example, mean 1: inverse class frequency, or all 1.

    `auto` takes frequencies where the largest class has more than `LARGEST_RATIO` times the smallest.
    """
    counts = np.bincount(labels, minlength=num_classes)
    present = counts[counts > 0]
    alike = present.max() <= LARGEST_RATIO * present.min()
    if balance == "none" or (balance == "auto" and alike):
        return np.ones(len(labels), dtype=np.float32)
    weights: FloatArray = (len(labels) / (len(present) * counts[labels])).astype(np.float32)
    return weights


def draw_epoch(num_examples: int, seed: int, epoch: int) -> tuple[IntArray, FloatArray]:
    """Order (m,) and random numbers (m, 9) in [0, 1) of one epoch; draws[i] belongs to example i."""
    rng = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    order = rng.permutation(num_examples)
    draws = [rng.random((num_examples, num), dtype=np.float32) for num in (NUM_MOVES, NUM_SQUARES)]
    return order, np.concatenate(draws, axis=1)


def training_batches(
    examples: Examples,
    batch_size: int,
    epochs: int,
    seed: int,
    augment: AugmentSettings | None,
    first: int = 0,
    share: tuple[int, int] = (0, 1),
) -> tuple[tf.data.Dataset, int]:
    """Batches (inputs, targets, weights) of all epochs in one stream, and the steps of an epoch.

    The stream begins with step `first`, as if those before it had been taken from it. `share` is (i, n) for
    the i-th of n equal parts of each batch.

    Every batch is full: the examples left over at the end of an epoch are other ones in each epoch.
    """
    num_examples = len(examples.rows)
    batch_size, steps = batch_shape(num_examples, batch_size)
    share_size = batch_size // share[1]
    targets = examples.targets()
    augmentation = None
    if augment is not None and augment != NOTHING:
        augmentation = Augmentation(augment, examples.inputs.shape[1], seed)

    @lru_cache(maxsize=3)
    def epoch_tables(epoch: int) -> tuple[IntArray, FloatArray]:
        return draw_epoch(num_examples, seed, epoch)

    def gather(step: np.int64) -> tuple[Any, ...]:
        order, draws = epoch_tables(int(step) // steps)
        start = int(step) % steps * batch_size + share[0] * share_size
        chosen = order[start : start + share_size]
        inputs = np.asarray(examples.inputs[examples.rows[chosen]])
        changes = augmentation.describe(draws[chosen]) if augmentation else ()
        return inputs, targets[chosen], examples.weights[chosen], *changes

    changes = Augmentation.SHAPES if augmentation else ()
    kinds = [tf.as_dtype(examples.inputs.dtype), *[tf.float32] * (2 + len(changes))]
    shapes = [examples.inputs.shape[1:], targets.shape[1:], (), *changes]

    def fetch(step: tf.Tensor) -> tuple[tf.Tensor, ...]:
        parts = tf.numpy_function(gather, [step], kinds, stateful=False)
        for part, shape in zip(parts, shapes, strict=True):
            part.set_shape((share_size, *shape))
        inputs, labels, weights, *changes = parts
        batch = tf.cast(inputs, tf.float32), labels, weights
        return augmentation.change(batch, changes, step) if augmentation else batch

    stream = tf.data.Dataset.range(first, epochs * steps).map(
        fetch, num_parallel_calls=_GATHERERS, deterministic=True
    )
    return stream.prefetch(2), steps


def batch_shape(num_examples: int, batch_size: int) -> tuple[int, int]:
    """Images a batch, at most as many as there are, and batches an epoch."""
    batch_size = min(batch_size, num_examples)
    return batch_size, num_examples // batch_size


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

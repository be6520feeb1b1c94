"""A student learns from the labels and from what a teacher says of the same images (Hinton et al. 2015).

Where there is a teacher, a target is (b, 2k): the one-hot label, then the teacher's softened probabilities.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class DistilledLoss(keras.losses.Loss):  # type: ignore[misc]  # Keras is untyped here
    """(1 - weight) of the plain loss plus weight T^2 of the cross-entropy against the teacher, per image.

    Both sides of the second part are softened by the temperature T; T^2 keeps its gradient as large as at 1.
    Targets without a teacher (b, k), as validation has them, get the plain loss.
    """

    def __init__(self, plain: keras.losses.Loss, temperature: float, weight: float) -> None:
        super().__init__(name="distilled")
        self._plain = plain
        self._temperature = temperature
        self._weight = weight

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """(b,) of targets (b, 2k) or (b, k) and logits (b, k)."""
        plain = self._plain.call(_truth(y_true, y_pred), y_pred)
        if y_true.shape[-1] == y_pred.shape[-1]:
            return plain
        teacher = y_true[:, y_pred.shape[-1] :]
        soft = keras.ops.categorical_crossentropy(teacher, y_pred / self._temperature, from_logits=True)
        return (1.0 - self._weight) * plain + self._weight * self._temperature**2 * soft


class TruthAccuracy(keras.metrics.CategoricalAccuracy):  # type: ignore[misc]  # Keras is untyped here
    """Accuracy against the label, whether or not a teacher stands beside it."""

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: Any = None) -> None:
        """Count a batch."""
        super().update_state(_truth(y_true, y_pred), y_pred, sample_weight)


class TruthNll(keras.metrics.CategoricalCrossentropy):  # type: ignore[misc]  # Keras is untyped here
    """NLL of the label, whether or not a teacher stands beside it."""

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: Any = None) -> None:
        """Count a batch."""
        super().update_state(_truth(y_true, y_pred), y_pred, sample_weight)


def _truth(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    return y_true[:, : y_pred.shape[-1]]

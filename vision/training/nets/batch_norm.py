"""Batch normalisation by one operation of TensorFlow where Keras takes a dozen."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class BatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]  # Keras is untyped here
    """Keras' layer, faster while it learns from values (b, s, s, c); the same numbers within float error.

    Devices that share a batch keep to Keras' own. Files of weights name theirs by the class: its name stays.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        """Normalised by the batch while it trains, by the running statistics otherwise."""
        learns = training and self.trainable and not self.synchronized
        if not (learns and self.scale and self.center and len(inputs.shape) == 4):
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.cast(self.gamma, tf.float32),
            offset=tf.cast(self.beta, tf.float32),
            mean=tf.zeros(0),
            variance=tf.zeros(0),
            epsilon=self.epsilon,
            is_training=True,
        )
        count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
        variance *= (count - 1.0) / count  # as Keras: of the batch itself, not estimated from it
        for running, found in ((self.moving_mean, mean), (self.moving_variance, variance)):
            running.assign(running * self.momentum + found * (1.0 - self.momentum))
        return outputs


def fuse_batch_norm(model: keras.Model) -> None:
    """Let the layers of a network train by one operation each; their weights and names stay."""
    for layer in model.layers:
        if type(layer) is keras.layers.BatchNormalization and layer.axis in (-1, 3):
            layer.__class__ = BatchNormalization

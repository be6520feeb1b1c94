"""The fused layer gives what Keras' gives: outputs, gradients, running statistics."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.training.nets.batch_norm import BatchNormalization, fuse_batch_norm

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]


def run(*, fused: bool, trainable: bool = True) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    images = tf.constant(rng.normal(5.0, 2.0, (6, 8, 8, 4)), tf.float32)
    targets = tf.constant(rng.normal(size=(6, 8, 8, 4)), tf.float32)
    layer = keras.layers.BatchNormalization(momentum=0.9, name="norm")
    model = keras.Sequential([keras.Input((8, 8, 4)), layer])
    layer.set_weights([rng.uniform(0.5, 2.0, 4) for _ in range(4)])
    layer.trainable = trainable
    if fused:
        fuse_batch_norm(model)
        assert type(layer) is BatchNormalization
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = model(images, training=True)
        loss = tf.reduce_mean(tf.square(outputs - targets))
    gradients = tape.gradient(loss, [images, *layer.trainable_weights])
    asked = model(images, training=False)
    return [np.asarray(each) for each in (outputs, *gradients, *layer.get_weights(), asked)]


@pytest.mark.parametrize("trainable", [True, False])
def test_outputs_gradients_and_running_statistics_are_those_of_keras(*, trainable: bool) -> None:
    plain, fused = (run(fused=each, trainable=trainable) for each in (False, True))
    assert len(plain) == len(fused)
    for one, other in zip(plain, fused, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-6)

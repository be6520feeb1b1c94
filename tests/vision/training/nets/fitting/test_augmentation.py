"""Every policy repeats with one seed, keeps to 0..255, and mixes labels as it mixes images."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from pydantic import ValidationError

from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.base.record import FloatArray
from vision.config.augment import POLICIES, AugmentSettings
from vision.training.nets.fitting.augmentation import Augmentation, blank_squares
from vision.training.nets.fitting.batches import Examples, draw_epoch, training_batches

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]

WHITE = 200.0
CHANGES = [*POLICIES, "cutout", "colour"]


def settings_of(name: str) -> AugmentSettings:
    made = {"cutout": {"policy": "none", "cutout": 0.25}, "colour": {"hue": 0.2, "saturation": 0.9}}
    return AugmentSettings.model_validate(made.get(name, name))


def colourful(num: int = 8, size: int = 12) -> Examples:
    images = np.random.default_rng(0).integers(0, 256, (num, size, size, 3)).astype(np.uint8)
    return Examples(images, np.arange(num), np.arange(num) % 2, 2, np.ones(num, "f"))


def stream(name: str, seed: int, examples: Examples | None = None) -> list[tuple[FloatArray, ...]]:
    batches, _ = training_batches(examples or colourful(), 4, 3, seed, settings_of(name))
    return list(batches.as_numpy_iterator())


@pytest.mark.parametrize("name", CHANGES)
def test_a_policy_repeats_with_one_seed_and_keeps_to_the_range(name: str) -> None:
    first, again, other = stream(name, 1), stream(name, 1), stream(name, 2)
    for one, two in zip(first, again, strict=True):
        for part, same in zip(one, two, strict=True):
            assert_array_equal(part, same)
    images = np.concatenate([each[0] for each in first])
    assert images.min() >= 0
    assert images.max() < 255.01
    if name != "none":
        plain = np.sort([image.mean() for image in colourful().inputs])
        assert np.abs(np.sort([each.mean() for each in images[:8]]) - plain).max() > 0.1
    assert any((one[0] != two[0]).any() for one, two in zip(first, other, strict=True))


def test_a_batch_follows_from_its_step_whatever_came_before() -> None:
    """So that a training that is taken up again sees the same images."""
    examples, settings, step = colourful(), AugmentSettings(randaugment=2, mixup=0.4, hue=0.1), 5
    expected, _ = training_batches(examples, 4, 3, 7, settings)
    images, labels, weights = list(expected.as_numpy_iterator())[step]
    order, draws = draw_epoch(8, 7, 2)
    chosen = order[4:]
    augmentation = Augmentation(settings, 12, 7)
    batch = tuple(
        tf.constant(each, tf.float32)
        for each in (examples.inputs[chosen], examples.one_hot()[chosen], examples.weights[chosen])
    )
    changes = [tf.constant(each) for each in augmentation.describe(draws[chosen])]
    changed = tf.function(augmentation.change)(batch, changes, tf.constant(step, tf.int64))
    assert_allclose(changed[0], images, atol=1e-3)
    assert_allclose(changed[1], labels, atol=1e-6)
    assert_allclose(changed[2], weights, atol=1e-6)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_labels_and_weights_are_mixed_as_the_images_are(name: str) -> None:
    labels = np.arange(16) % 2
    images = np.repeat(labels * WHITE, 12 * 12 * 3).reshape(16, 12, 12, 3).astype(np.uint8)
    weights = np.where(labels == 1, 1.5, 0.5).astype("f")
    still = AugmentSettings.model_validate({"policy": "none", name: 1.0})
    batches, _ = training_batches(Examples(images, np.arange(16), labels, 2, weights), 16, 1, 1, still)
    changed, mixed, counts = next(batches.as_numpy_iterator())
    share = changed.mean(axis=(1, 2, 3)) / WHITE
    assert ((share > 0.01) & (share < 0.99)).any()
    tolerance = 1e-5 if name == "mixup" else 0.1  # Keras counts the area before rounding it to pixels
    assert_allclose(mixed[:, 1] * counts, 1.5 * share, atol=1.5 * tolerance)
    assert_allclose(mixed.sum(axis=1), 1.0, atol=1e-5)


def test_a_square_is_blanked_with_the_mean_and_may_lie_partly_outside() -> None:
    images = np.zeros((2, 8, 8, 3), "f")
    images[:, 0, 0] = 64.0
    blank = np.asarray(blank_squares(tf.constant(images), tf.constant([[2.0, 3.0], [-2.0, 6.0]]), 4))
    assert_array_equal(np.argwhere(blank[0, :, :, 0] == 1.0)[[0, -1]], [[2, 3], [5, 6]])
    assert (blank[0] == 1.0).all(axis=2).sum() == 16
    assert (blank[1] == 1.0).all(axis=2).sum() == 4
    square = settings_of("cutout")
    corners = list(Augmentation(square, 28, 1).describe(draw_epoch(500, 1, 0)[1]))[3]
    assert corners.min() == -4
    assert corners.max() == 24


def test_a_policy_is_a_name_alone_or_with_changes() -> None:
    assert AugmentSettings.model_validate("standard") == AugmentSettings()
    light = AugmentSettings.model_validate({"policy": "light", "zoom": 0.2})
    assert (light.zoom, light.rotation_degrees, light.flip) == (0.2, 0.0, True)
    assert AugmentSettings.model_validate(light.model_dump()) == light
    for wrong, word in (("mixupp", "mean mixup"), ({"mixup": 0.2, "cutmix": 1.0}, "one way")):
        with pytest.raises(ValidationError, match=word):
            AugmentSettings.model_validate(wrong)

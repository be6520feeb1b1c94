"""Order and changes of training images follow from seed and epoch alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.base.record import FloatArray
from vision.config.augment import AugmentSettings
from vision.training.nets.fitting.augmentation import change_images, describe_transform
from vision.training.nets.fitting.batches import (
    Examples,
    balance_weights,
    draw_epoch,
    plain_batches,
    training_batches,
)

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]

NO_CHANGE = AugmentSettings(flip=False, translation=0, rotation_degrees=0, zoom=0, brightness=0, contrast=0)


def make_examples(num: int = 10, size: int = 8) -> Examples:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (num + 3, size, size, 3)).astype(np.uint8)
    rows = np.arange(3, num + 3)
    labels = np.arange(num) % 2
    return Examples(images, rows, labels, 2, np.linspace(0.5, 1.5, num).astype(np.float32))


def test_an_epoch_has_the_same_order_and_draws_for_one_seed_and_others_for_the_next() -> None:
    order, draws = draw_epoch(50, 7, 2)
    again, draws_again = draw_epoch(50, 7, 2)
    other, _ = draw_epoch(50, 7, 3)
    assert_array_equal(order, again)
    assert_array_equal(draws, draws_again)
    assert sorted(order) == list(range(50))
    assert (order != other).any()


def test_training_batches_carry_each_image_with_its_own_label_and_weight() -> None:
    examples = make_examples()
    stream, steps = training_batches(examples, 5, 2, 1, NO_CHANGE)
    batches = list(stream.as_numpy_iterator())
    assert steps == 2
    assert len(batches) == 4
    for epoch in (batches[:2], batches[2:]):
        inputs, labels, weights = (np.concatenate(parts) for parts in zip(*epoch, strict=True))
        position = np.argsort(weights)
        assert_allclose(inputs[position], examples.inputs[examples.rows], atol=0.01)
        assert_array_equal(labels[position].argmax(axis=1), examples.labels)


def test_augmented_batches_repeat_exactly_with_one_seed() -> None:
    first, second, other = (
        np.concatenate(
            [each[0] for each in training_batches(make_examples(), 4, 2, seed, AugmentSettings())[0]]
        )
        for seed in (1, 1, 2)
    )
    assert_array_equal(first, second)
    assert not np.allclose(first, other)
    assert first.min() >= 0
    assert first.max() <= 255


def test_plain_batches_keep_order_and_the_short_last_batch() -> None:
    examples = make_examples()
    batches = list(plain_batches(examples, 4).as_numpy_iterator())
    assert [len(inputs) for inputs, _ in batches] == [4, 4, 2]
    assert_array_equal(np.concatenate([each[0] for each in batches]), examples.inputs[examples.rows])


def apply(
    flip: bool = False, angle: float = 0.0, zoom: float = 1.0, shift: tuple[float, float] = (0, 0)
) -> tuple[FloatArray, FloatArray]:

    image = make_examples(1, 9).inputs[:1].astype(np.float32)
    transform = describe_transform(
        np.array([flip]), np.array([angle]), np.array([zoom]), np.array([shift]), 9
    )
    nothing = np.zeros(1, np.float32)
    return image[0], np.asarray(change_images(image, transform, nothing, nothing + 1))[0]


def test_a_flip_exchanges_left_and_right() -> None:
    image, changed = apply(flip=True)
    assert_allclose(changed, image[:, ::-1], atol=0.01)


def test_a_quarter_turn_is_a_quarter_turn() -> None:
    image, changed = apply(angle=np.pi / 2)
    assert min(np.abs(changed - np.rot90(image, turn)).max() for turn in (1, 3)) < 0.1


def test_a_shift_moves_right_and_down() -> None:
    image, changed = apply(shift=(2, 1))
    assert_allclose(changed[1:, 2:], image[:-1, :-2], atol=0.01)


def test_zoom_above_one_keeps_the_centre_and_shows_less() -> None:
    image, changed = apply(zoom=2.0)
    assert_allclose(changed[4, 4], image[4, 4], atol=0.01)
    assert_allclose(changed[2, 2], image[3, 3], atol=0.01)


def test_brightness_shifts_and_contrast_stretches_about_the_mean() -> None:
    image = np.full((1, 8, 8, 3), 100, np.float32)
    image[0, :4] = 140
    still = describe_transform(np.array([False]), np.zeros(1), np.ones(1), np.zeros((1, 2)), 8)
    changed = np.asarray(change_images(image, still, np.array([10.0], "f"), np.array([0.5], "f")))
    assert_allclose(changed[0, 0], 140.0)
    assert_allclose(changed[0, 7], 120.0)


def test_weights_balance_classes_only_beyond_a_ratio_of_three() -> None:
    assert_array_equal(balance_weights(np.array([0, 1, 1, 1]), 2), np.ones(4))
    weights = balance_weights(np.array([0, 1, 1, 1, 1]), 2)
    assert_allclose(weights, [2.5, 0.625, 0.625, 0.625, 0.625])

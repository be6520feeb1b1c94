from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.linear_model import LogisticRegression

from vision.base.errors import TooFewImagesError
from vision.data.records import Split, Splits
from vision.evaluation import baselines

Array = npt.NDArray[Any]


def paint(num: int, size: int = 48, seed: int = 0) -> tuple[Array, Array]:
    """Noisy images whose brighter half (top, bottom, left) gives the label."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, p=[0.5, 0.3, 0.2], size=num)
    images = rng.integers(60, 160, size=(num, size, size, 3))
    half = size // 2
    for image, label in zip(images, labels, strict=True):
        part = (image[:half], image[half:], image[:, :half])[label]
        part += 12
    return images.astype(np.uint8), labels


def make_splits(labels: Array, shares: dict[Split, int]) -> Splits:
    names = ("bottom", "left", "top")
    splits = [split for split, num in shares.items() for _ in range(num)]
    return Splits(
        class_names=names,
        unknown_class_names=("other",),
        digests=tuple(f"d{i}" for i in range(len(labels))),
        groups=tuple(f"g{i}" for i in range(len(labels))),
        image_classes=tuple("other" if label < 0 else names[label] for label in labels),
        splits=tuple(splits),
    )


def test_baselines_answer_the_known_test_images_in_row_order() -> None:
    images, labels = paint(300)
    labels[-1] = -1
    splits = make_splits(labels, {Split.TRAIN: 200, Split.TEST: 100})
    fitted = baselines.fit_baselines(images, splits, seed=0)
    assert fitted.rows == tuple(range(200, 299))
    assert fitted.majority_class == "bottom"
    assert fitted.majority_correct == tuple((labels[200:299] == 0).tolist())
    assert fitted.majority_accuracy == pytest.approx(np.mean(labels[200:299] == 0))
    assert fitted.pixels_accuracy == pytest.approx(np.mean(fitted.pixels_correct))
    assert fitted.pixels_accuracy > 0.9


def test_two_fits_with_one_seed_are_equal() -> None:
    images, labels = paint(120)
    splits = make_splits(labels, {Split.TRAIN: 80, Split.TEST: 40})
    assert baselines.fit_baselines(images, splits, 3) == baselines.fit_baselines(images, splits, 3)


def test_fitting_in_the_row_space_predicts_what_fitting_on_all_pixels_does() -> None:
    images, labels = paint(90)
    train, test = np.arange(60), np.arange(60, 90)
    ours = baselines.predict_from_pixels(images, train, labels[:60], test, seed=0)
    pixels = baselines.shrink(images, np.arange(90))
    pixels -= pixels[:60].mean(axis=0)
    plain = LogisticRegression(C=baselines.INVERSE_REGULARISATION, max_iter=2000, tol=1e-6)
    expected = plain.fit(pixels[:60], labels[:60]).predict(pixels[60:])
    assert np.mean(ours == expected) >= 29 / 30


def test_the_majority_is_that_of_the_training_images() -> None:
    images, _ = paint(10)
    splits = make_splits(np.array([0, 1, 1, 1, 2, 2, 2, 2, 2, 1]), {Split.TRAIN: 4, Split.TEST: 6})
    fitted = baselines.fit_baselines(images, splits, 0)
    assert fitted.majority_class == "left"
    assert fitted.majority_correct == (False,) * 5 + (True,)


def test_majority_of_equals_is_the_lowest_label() -> None:
    assert baselines.find_majority(np.array([2, 1, 1, 2, 0])) == 1


def test_one_class_is_always_predicted() -> None:
    images, _ = paint(10)
    predicted = baselines.predict_from_pixels(images, np.arange(6), np.full(6, 2), np.arange(6, 10), 0)
    np.testing.assert_array_equal(predicted, [2, 2, 2, 2])


def test_shrinking_averages_whole_blocks() -> None:
    image = np.random.default_rng(0).integers(0, 256, size=(2, 96, 96, 3), dtype=np.uint8)
    expected = image[1].reshape(32, 3, 32, 3, 3).mean(axis=(1, 3)) / 255
    np.testing.assert_allclose(baselines.shrink(image, np.array([1])).reshape(32, 32, 3), expected, atol=1e-5)


@pytest.mark.parametrize("size", [33, 20, 100])
def test_shrinking_by_parts_of_pixels_keeps_the_mean_and_the_orientation(size: int) -> None:
    image = np.zeros((1, size, size, 3), dtype=np.uint8)
    image[0, : size // 2, :, 1] = 200
    shrunk = baselines.shrink(image, np.array([0])).reshape(32, 32, 3)
    assert shrunk.mean() == pytest.approx(image.mean() / 255, abs=1e-5)
    assert (shrunk[:15, :, 1] > 0.7).all()
    assert (shrunk[17:] == 0).all()


def test_images_that_are_all_the_same_are_answered_by_the_majority() -> None:
    images = np.full((9, 40, 40, 3), 7, dtype=np.uint8)
    predicted = baselines.predict_from_pixels(
        images, np.arange(6), np.array([1, 1, 1, 0, 0, 2]), np.arange(6, 9), 0
    )
    np.testing.assert_array_equal(predicted, [1, 1, 1])


@pytest.mark.parametrize("shares", [{Split.TRAIN: 4}, {Split.TEST: 4}])
def test_an_empty_side_is_refused(shares: dict[Split, int]) -> None:
    images, labels = paint(4)
    with pytest.raises(TooFewImagesError, match="expected both"):
        baselines.fit_baselines(images, make_splits(labels, shares), 0)

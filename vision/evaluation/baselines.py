"""Baselines that a model has to beat: the majority class, and a linear model on raw pixels."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from threadpoolctl import threadpool_limits

from vision.base.errors import TooFewImagesError
from vision.base.record import FloatArray, IntArray, Record
from vision.data.records import Split, Splits
from vision.evaluation.split_inflation import SplitInflation

PIXELS_SIDE = 32
INVERSE_REGULARISATION = 0.01
MAX_TRAIN_IMAGES = 3000
MAX_ITERATIONS = 200
BLOCK = 256


class Baselines(Record):
    """Which known test images each baseline gets right; columns are aligned with `rows`."""

    SCHEMA_VERSION: ClassVar[int] = 1
    majority_class: str
    rows: tuple[int, ...] = Field(description="data-set rows of the known test images, ascending")
    majority_correct: tuple[bool, ...]
    pixels_correct: tuple[bool, ...]
    majority_accuracy: float
    pixels_accuracy: float
    inflation: SplitInflation | None = Field(
        default=None,
        description="what a random split would have shown; None where it was not measured",
    )


def fit_baselines(images: NDArray[np.uint8], splits: Splits, seed: int) -> Baselines:
    """Both baselines, fitted on training images and asked about the test images.

    `images` (n, s, s, 3) uint8 are the whole data set; more than `MAX_TRAIN_IMAGES` to fit on are drawn.

    Raises:
        TooFewImagesError: no training or no test image.
    """
    labels, train, test = splits.labels(), splits.rows(Split.TRAIN), splits.rows(Split.TEST)
    if not len(train) or not len(test):
        raise TooFewImagesError(
            f"Baselines got {len(train)} training and {len(test)} known test images; expected both."
        )
    majority = find_majority(labels[train])
    predicted = predict_from_pixels(images, train, labels[train], test, seed)
    majority_correct, pixels_correct = labels[test] == majority, labels[test] == predicted
    return Baselines(
        majority_class=splits.class_names[majority],
        rows=tuple(test.tolist()),
        majority_correct=tuple(majority_correct.tolist()),
        pixels_correct=tuple(pixels_correct.tolist()),
        majority_accuracy=float(majority_correct.mean()),
        pixels_accuracy=float(pixels_correct.mean()),
    )


def find_majority(labels: IntArray) -> int:
    """The most frequent label of (n,) labels, n >= 1; the lowest of equals."""
    return int(np.bincount(labels).argmax())


def predict_from_pixels(
    images: NDArray[np.uint8], train_rows: IntArray, train_labels: IntArray, test_rows: IntArray, seed: int
) -> IntArray:
    """Labels (m,) of `test_rows` by L2-regularised logistic regression on 32x32 RGB pixels.

    `train_rows` and their labels are (t,), rows of `images` (n, s, s, 3) uint8; at most 3000, drawn at
    random, are used.
    """
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(train_labels)) == 1:
        return np.full(len(test_rows), train_labels[0])
    kept = np.random.default_rng(seed).permutation(len(train_rows))[:MAX_TRAIN_IMAGES]
    kept.sort()
    with threadpool_limits(limits=1):  # these products are small: threads cost several times what they save
        train, test = shrink(images, train_rows[kept]), shrink(images, test_rows)
        centre = train.mean(axis=0)
        basis = _row_space(train - centre)
        if not basis.shape[1]:
            return np.full(len(test_rows), find_majority(train_labels))
        model = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=MAX_ITERATIONS, tol=1e-2)
        model.fit((train - centre) @ basis, train_labels[kept])
        predictions: IntArray = model.predict((test - centre) @ basis)
    return predictions


def shrink(images: NDArray[np.uint8], rows: IntArray) -> FloatArray:
    """Some images as flat vectors (m, side * side * 3) in 0 to 1, averaged over each new pixel's area."""
    side = PIXELS_SIDE
    overlap = _area_weights(images.shape[1], side).astype(np.float32)
    shrunk = np.empty((len(rows), side, side, 3), dtype=np.float32)
    for start in range(0, len(rows), BLOCK):
        block: NDArray[Any] = np.asarray(images[rows[start : start + BLOCK]], dtype=np.float32) / 255.0
        num, height, width, _ = block.shape
        low = (overlap @ block.reshape(num, height, width * 3)).reshape(num, side, width, 3)
        shrunk[start : start + BLOCK] = overlap @ low
    return shrunk.reshape(len(rows), -1)


def _area_weights(size: int, side: int) -> FloatArray:
    """(side, size): share of each old pixel in each new one; rows sum to 1."""
    edges = np.linspace(0.0, size, side + 1)
    low = np.maximum(edges[:-1, None], np.arange(size))
    high = np.minimum(edges[1:, None], np.arange(1, size + 1))
    weights: FloatArray = np.clip(high - low, 0.0, None) * side / size
    return weights


def _row_space(centred: FloatArray) -> FloatArray:
    """Orthonormal basis (p, r) of the row space of (n, p), by the eigenvectors of its Gram matrix.

    A fit with an L2 penalty lies in that space, so that n < p loses nothing and runs several times faster.
    """
    values, vectors = np.linalg.eigh((centred @ centred.T).astype(np.float64))
    kept = values > 1e-7 * max(values[-1], 1e-12)
    basis: FloatArray = centred.T @ (vectors[:, kept] / np.sqrt(values[kept])).astype(np.float32)
    return basis

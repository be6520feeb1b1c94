"""Fits a detector on known images: its arrays on training images, its scales on validation images.

`fit_detector` prepares the arrays of every score in `vision.decision.scores`, so that one detector can report
them all. n is images, k classes, d the embedding's width.

Covariances are shrunk (Ledoit & Wolf 2004), because embeddings are often wider than the data is long; and no
direction is whitened by more than a thousand times the strongest, so that a unit that never fires on
training images does not decide alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.base.errors import DataError, TooFewImagesError, TrainingError
from vision.base.outputs import ModelOutputs
from vision.base.record import FloatArray, IntArray
from vision.decision.arrays import EIGENVALUE_FLOOR, SPREAD_FLOOR, Arrays, Known, choose_fitted
from vision.decision.records import OodDetector
from vision.decision.scores import COMBINATIONS, SCORES, OodScore, stack_parts


def fit_detector(
    train: ModelOutputs,
    train_labels: IntArray,
    train_groups: NDArray[np.str_],
    validation: ModelOutputs,
    score: str,
    seed: int,
) -> OodDetector:
    """A detector with the arrays of every score, of which `score` decides.

    `validation` images, which were not trained on, scale the parts of `ewk` and `fwk`. A kNN bank that is
    full holds as many groups as it can; `seed` chooses its rows.

    Raises:
        DataError: shapes or labels do not fit together.
        TooFewImagesError: a class has no training image, or there are fewer than two classes or two
            validation images.
        TrainingError: an output is not finite.
    """
    name = OodScore(score)
    check_outputs(train, train_labels, train_groups)
    if len(validation.logits) < 2:
        raise TooFewImagesError(
            f"There are {len(validation.logits)} validation images; expected at least two. Give validation a "
            "larger share in split.validation."
        )
    _check_finite("validation", validation)
    arrays = fit_arrays(train, train_labels, train_groups, seed, OodScore)
    for combined in COMBINATIONS:
        parts = stack_parts(arrays, combined, validation.logits, validation.embeddings)
        arrays |= fit_scales(combined, parts)
    return OodDetector(score_name=name.value, arrays=arrays)


def fit_arrays(
    train: ModelOutputs,
    labels: IntArray,
    groups: NDArray[np.str_],
    seed: int,
    names: Iterable[OodScore],
) -> dict[str, NDArray[Any]]:
    """The arrays of some scores and of the stranger score, from known images.

    The scales of combinations are not among them. Of very many images some are taken. Each of the labels
    0..k-1 (n,) occurs.
    """
    rows = choose_fitted(labels, groups, seed)
    if len(rows) < len(labels):
        train, labels, groups = train.at(rows), labels[rows], groups[rows]
    known = Known(train, labels, groups, seed, _fit_whitener)
    needed = dict.fromkeys(part for name in names for part in (*SCORES[name].parts, name))
    fits = [fit for name in needed if (fit := SCORES[name].fit) is not None]
    arrays = {key: array for fit in fits for key, array in fit(known).items()}
    return arrays if train.early is None else arrays | dict(fit_strangers(train.early))


def fit_strangers(early: FloatArray) -> Arrays:
    """Centre and whitener of the early statistics (n, e) of known images."""
    values = np.asarray(early, dtype=np.float64)
    centre, spread = values.mean(axis=0), values.std(axis=0)
    scale = np.maximum(spread, max(SPREAD_FLOOR * float(spread.max()), np.finfo(np.float64).tiny))
    whitener = _fit_whitener((values - centre) / scale) / scale[:, None]
    return {"stranger_centre": centre, "stranger_whitener": whitener}


def fit_scales(name: OodScore, parts: FloatArray) -> Arrays:
    """Location and scale of the parts (n, p) of a combination on images that nothing was fitted on."""
    spread, location = parts.std(axis=0), parts.mean(axis=0)
    constant = spread <= 1e-9 * (1 + np.abs(location))
    return {f"{name}_location": location, f"{name}_scale": np.where(constant, 1.0, spread)}


def _fit_whitener(residuals: FloatArray) -> FloatArray:
    """S^-1/2, (d, d), of residuals (n, d) around zero; the identity where S is zero."""
    from sklearn.covariance import ledoit_wolf

    covariance, _ = ledoit_wolf(residuals, assume_centered=True)
    values, vectors = np.linalg.eigh(covariance)
    largest = float(values[-1])
    if largest <= np.finfo(np.float64).tiny:
        return np.eye(residuals.shape[1])
    floored = np.maximum(values, EIGENVALUE_FLOOR * largest)
    return np.asarray((vectors / np.sqrt(floored)) @ vectors.T)


def check_outputs(train: ModelOutputs, labels: IntArray, groups: NDArray[np.str_]) -> None:
    """Refuse outputs of known images that no detector can be fitted on, as `fit_detector` does."""
    num, num_classes = train.logits.shape
    if not len(labels) == len(groups) == num == len(train.embeddings):
        raise DataError(
            f"{num} training outputs come with {len(labels)} labels and {len(groups)} groups; expected one "
            "of each per image."
        )
    counts = np.bincount(labels, minlength=num_classes) if num and labels.min() >= 0 else np.zeros(1)
    if num_classes < 2 or len(counts) != num_classes or not counts.all():
        raise TooFewImagesError(
            f"Training images per label are {counts.astype(int).tolist()}; expected at least two labels, one "
            f"image of each of {num_classes} known classes and no other label. Fit on known training images "
            "of all classes."
        )
    _check_finite("training", train)


def _check_finite(split: str, outputs: ModelOutputs) -> None:
    for what in ("logits", "embeddings", "kernel", "bias", "early"):
        values = getattr(outputs, what)
        if values is not None and not np.isfinite(values).all():
            raise TrainingError(
                f"{np.count_nonzero(~np.isfinite(values))} values of the {split} {what} are not finite; "
                "expected numbers. The training diverged: lower training.candidates.*.learning_rate."
            )

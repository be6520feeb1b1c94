"""Fits the temperature: the one nearest 1 that the calibration images cannot tell from the best.

Where nearly all of them are right, the NLL falls ever further towards certainty, and the first mistake after
that costs more than all was gained (docs/decisions/0020-temperature.md).

`logits` are (n, k) before softmax, `labels` (n,) class indices, `groups` (n,) names of what was photographed
together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.base.errors import TooFewImagesError
from vision.base.record import FloatArray, IntArray, Interval
from vision.base.resampling import resample_groups, share_interval
from vision.base.softmax import log_softmax, nll, nll_per_image
from vision.config.evaluation import BootstrapSettings
from vision.decision.records import Temperature

TEMPERATURES = np.exp(np.log(20.0) * np.arange(-60, 61) / 60)
"""From 1/20 to 20 in steps of 5%; the middle one is 1."""

STANDARD_ERRORS = 2.0
"""A temperature that is worse than the best by less than this, over groups, cannot be told from it."""

NUM_FOLDS = 5

Groups = NDArray[Any]


def fit_temperature(
    logits: FloatArray,
    labels: IntArray,
    groups: Groups,
    bootstrap: BootstrapSettings,
    rng: np.random.Generator,
) -> Temperature:
    """The temperature (Guo et al. 2017) nearest 1 that the labels cannot tell from the best one.

    `gain` is measured out of fold: each of five folds of whole groups (fewer where there are fewer groups) is
    judged with the temperature of the others. It is told, it does not decide. Logits (n, k), labels (n,) and
    groups (n,) are of calibration images of known classes; `rng` draws the folds, then the gain's resamples.

    Raises:
        TooFewImagesError: there is no image.
    """
    if not len(labels):
        raise TooFewImagesError(
            "Calibration got no image of a known class. Expected some; give split.calibration a larger share."
        )
    best, value = choose_temperature(logits, labels, groups)
    return Temperature(
        value=value,
        applied=value != 1.0,
        fitted_value=best,
        nll_before=nll(logits, labels),
        nll_after=nll(logits, labels, value),
        gain=measure_gain(logits, labels, groups, bootstrap, rng),
        num_images=len(labels),
        num_groups=len(np.unique(groups)),
        accuracy=share_interval(logits.argmax(axis=1) == labels, groups, bootstrap.level),
    )


def choose_temperature(logits: FloatArray, labels: IntArray, groups: Groups) -> tuple[float, float]:
    """The temperature of least NLL, and the one nearest 1 that is not told from the best; n >= 1.

    Two losses answer: the NLL, and the NLL of labels of which, with g groups, 1 / (g + 2) belongs to the
    other classes (Platt 1999), since g right answers do not show that none is wrong. What lies between the
    temperatures that either cannot tell from its best counts as not told. With one group, nothing is.
    """
    own, others = _losses(logits, labels)
    best = float(TEMPERATURES[own.mean(axis=1).argmin()])
    num_groups = len(np.unique(groups))
    if num_groups < 2:
        return best, 1.0
    share = 1.0 / (num_groups + 2)
    alike = [_like_the_best(losses, groups) for losses in (own, (1.0 - share) * own + share * others)]
    indices = np.concatenate(alike)
    nearest = min(max(len(TEMPERATURES) // 2, indices.min()), indices.max())
    return best, float(TEMPERATURES[nearest])


def _like_the_best(losses: FloatArray, groups: Groups) -> IntArray:
    """Rows of (temperatures, n) losses at most `STANDARD_ERRORS`, over groups, above the least mean."""
    _, members, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    excess = losses - losses[losses.mean(axis=1).argmin()]
    mean = excess.mean(axis=1)
    by_group = np.array([np.bincount(members, weights=row) for row in excess])
    spread = ((by_group - mean[:, None] * sizes) ** 2).sum(axis=1)
    errors = np.sqrt(spread * len(sizes) / (len(sizes) - 1)) / len(members)
    return np.flatnonzero(mean <= STANDARD_ERRORS * errors)


def _losses(logits: FloatArray, labels: IntArray) -> tuple[FloatArray, FloatArray]:
    """Loss of each image at each temperature for its label, and the mean of those for the other classes.

    Both are (temperatures, n), in nats.
    """
    log_probs = np.stack([log_softmax(logits, float(each)) for each in TEMPERATURES])
    own = log_probs[:, np.arange(len(labels)), labels]
    others = (log_probs.sum(axis=2) - own) / (logits.shape[1] - 1)
    return -own, -others


def measure_gain(
    logits: FloatArray,
    labels: IntArray,
    groups: Groups,
    bootstrap: BootstrapSettings,
    rng: np.random.Generator,
) -> Interval:
    """NLL in nats that a temperature chosen on other groups saves, with its interval over groups.

    All three numbers are NaN where there is one group only: nothing can be held out.
    """
    folds = assign_folds(groups, NUM_FOLDS, rng)
    if folds.max() == 0:
        return Interval(value=np.nan, low=np.nan, high=np.nan)
    gains = np.zeros(len(labels))
    for fold in range(int(folds.max()) + 1):
        held_out = folds == fold
        _, temperature = choose_temperature(logits[~held_out], labels[~held_out], groups[~held_out])
        before = nll_per_image(logits[held_out], labels[held_out])
        gains[held_out] = before - nll_per_image(logits[held_out], labels[held_out], temperature)
    return resample_groups(groups, bootstrap, rng).mean(gains)


def assign_folds(groups: Groups, num_folds: int, rng: np.random.Generator) -> IntArray:
    """Fold (n,) of each image, whole groups together, at most `num_folds` and at most one a group."""
    names, members = np.unique(groups, return_inverse=True)
    fold_of_group = np.arange(len(names)) % num_folds
    folds: IntArray = rng.permutation(fold_of_group)[members]
    return folds

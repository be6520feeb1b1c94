"""The temperature: as near 1 as the calibration images allow.

Where nearly all of them are right, the NLL falls ever further towards certainty, and the first mistake after
that costs more than all was gained. Two things prevent it (docs/decisions/0020-temperature.md): every label
counts as a little uncertain, and of all temperatures that the images cannot tell from the best one, the one
nearest 1 is taken. `logits` are (n, k) before softmax, `labels` (n,) class indices, `groups` (n,) names of
what was photographed together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.base.errors import TooFewImagesError
from vision.base.record import FloatArray, IntArray, Interval
from vision.base.resampling import resample_groups
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
    judged with the temperature of the others. It is told, it does not decide.

    Args:
        logits: (n, k) of calibration images of known classes.
        labels: (n,).
        groups: (n,).
        bootstrap: number of resamples and level of the gain's interval.
        rng: draws folds and resamples.

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
    )


def choose_temperature(logits: FloatArray, labels: IntArray, groups: Groups) -> tuple[float, float]:
    """The temperature of least loss, and the one nearest 1 that cannot be told from it; n >= 1.

    Two are told apart if the mean difference of their losses is more than `STANDARD_ERRORS` standard errors,
    with groups as units. With one group, nothing can be.
    """
    losses = _smoothed_losses(logits, labels, groups)
    best = int(losses.mean(axis=1).argmin())
    _, members = np.unique(groups, return_inverse=True)
    sizes = np.bincount(members)
    if len(sizes) < 2:
        return float(TEMPERATURES[best]), 1.0
    excess = losses - losses[best]
    mean = excess.mean(axis=1)
    by_group = np.array([np.bincount(members, weights=row) for row in excess])
    spread = ((by_group - mean[:, None] * sizes) ** 2).sum(axis=1)
    errors = np.sqrt(spread * len(sizes) / (len(sizes) - 1)) / len(labels)
    alike = np.flatnonzero(mean <= STANDARD_ERRORS * errors)
    nearest = alike[np.abs(np.log(TEMPERATURES[alike])).argmin()]
    return float(TEMPERATURES[best]), float(TEMPERATURES[nearest])


def _smoothed_losses(logits: FloatArray, labels: IntArray, groups: Groups) -> FloatArray:
    """Loss of each image at each temperature, (temperatures, n) nats.

    With g groups, 1 / (g + 2) of each label belongs in equal parts to the other classes (Platt 1999): g right
    answers do not show that no answer is wrong.
    """
    share = 1.0 / (len(np.unique(groups)) + 2)
    rows, num_classes = np.arange(len(labels)), logits.shape[1]
    losses = np.empty((len(TEMPERATURES), len(labels)))
    for index, temperature in enumerate(TEMPERATURES):
        log_probs = log_softmax(logits, float(temperature))
        own = log_probs[rows, labels]
        others = (log_probs.sum(axis=1) - own) / (num_classes - 1)
        losses[index] = -(1.0 - share) * own - share * others
    return losses


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

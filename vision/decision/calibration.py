"""A temperature is applied only where images that it was not fitted on show that it helps.

The in-sample gain of a fitted temperature is never negative, so it proves nothing. `logits` are (n, k) before
softmax, `labels` (n,) class indices, `groups` (n,) names of what was photographed together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.base.errors import TooFewImagesError
from vision.base.record import FloatArray, IntArray, Interval
from vision.base.resampling import resample_groups
from vision.base.softmax import nll, nll_per_image
from vision.config.evaluation import BootstrapSettings
from vision.decision.records import Temperature

BOUNDS = (0.05, 20.0)
NUM_FOLDS = 5

Groups = NDArray[Any]


def fit_temperature(
    logits: FloatArray,
    labels: IntArray,
    groups: Groups,
    bootstrap: BootstrapSettings,
    rng: np.random.Generator,
) -> Temperature:
    """The temperature of least NLL (Guo et al. 2017), or 1 where its gain is not beyond doubt.

    The gain is measured out of fold: each of five folds of whole groups (fewer where there are fewer groups)
    is judged with the temperature of the others. The temperature is applied only if the group-bootstrap
    interval of that gain lies above 0. `nll_after` is the NLL with the value that is handed on.

    Args:
        logits: (n, k) of calibration images of known classes.
        labels: (n,).
        groups: (n,).
        bootstrap: number of resamples and level of the interval.
        rng: draws folds and resamples.

    Raises:
        TooFewImagesError: there is no image.
    """
    if not len(labels):
        raise TooFewImagesError(
            "Calibration got no image of a known class. Expected some; give split.calibration a larger share."
        )
    fitted = minimise_nll(logits, labels)
    gain = measure_gain(logits, labels, groups, bootstrap, rng)
    applied = gain.low > 0.0
    value = fitted if applied else 1.0
    return Temperature(
        value=value,
        applied=applied,
        fitted_value=fitted,
        nll_before=nll(logits, labels),
        nll_after=nll(logits, labels, value),
        gain=gain,
        num_images=len(labels),
        num_groups=len(np.unique(groups)),
    )


def minimise_nll(logits: FloatArray, labels: IntArray) -> float:
    """Temperature within `BOUNDS` of least NLL on (n, k) logits, n >= 1, searched over its logarithm."""
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return nll(logits, labels, float(np.exp(log_temperature)))

    found = minimize_scalar(loss, bounds=np.log(BOUNDS), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def measure_gain(
    logits: FloatArray,
    labels: IntArray,
    groups: Groups,
    bootstrap: BootstrapSettings,
    rng: np.random.Generator,
) -> Interval:
    """NLL in nats that a temperature fitted on other groups saves, with its interval over groups.

    All three numbers are NaN where there is one group only: nothing can be held out.
    """
    folds = assign_folds(groups, NUM_FOLDS, rng)
    if folds.max() == 0:
        return Interval(value=np.nan, low=np.nan, high=np.nan)
    gains = np.zeros(len(labels))
    for fold in range(int(folds.max()) + 1):
        held_out = folds == fold
        temperature = minimise_nll(logits[~held_out], labels[~held_out])
        before = nll_per_image(logits[held_out], labels[held_out])
        gains[held_out] = before - nll_per_image(logits[held_out], labels[held_out], temperature)
    return resample_groups(groups, bootstrap, rng).mean(gains)


def assign_folds(groups: Groups, num_folds: int, rng: np.random.Generator) -> IntArray:
    """Fold (n,) of each image, whole groups together, at most `num_folds` and at most one a group."""
    names, members = np.unique(groups, return_inverse=True)
    fold_of_group = np.arange(len(names)) % num_folds
    folds: IntArray = rng.permutation(fold_of_group)[members]
    return folds

"""Strangers: pictures of another kind than all that was taught, told by the statistics of an early layer.

A late layer forgets what is not needed to tell the classes apart, so that a cat can look like a fish to it.
An early one still holds it: mean and standard deviation of its channels, and their Mahalanobis distance from
known images (covariance of Ledoit and Wolf 2004; `vision.decision.fitting.fit_strangers`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vision.base.errors import TaxonError
from vision.base.record import FloatArray
from vision.config.decision import UnknownSettings
from vision.decision.arrays import Arrays
from vision.decision.formulas import measure_capture
from vision.decision.records import UnknownThreshold
from vision.decision.unknown_threshold import fit_threshold

SCORE_NAME = "stranger"


def measure_strangers(arrays: Arrays, early: FloatArray) -> FloatArray:
    """Stranger scores (n,) of early statistics (n, e): Mahalanobis length over sqrt(e), about 1 if known.

    Raises:
        ValueError: they are not of the width that the detector was fitted on.
        TaxonError: a score is not finite.
    """
    centre = arrays["stranger_centre"]
    if early.ndim != 2 or early.shape[1] != len(centre):
        raise ValueError(
            f"Early statistics have shape {early.shape}; expected (n, {len(centre)}), as the detector was "
            "fitted on. The detector and the network are not of one bundle."
        )
    scores = measure_capture(early, centre, arrays["stranger_whitener"])
    if not np.isfinite(scores).all():
        raise TaxonError(
            f"Early statistics of {np.count_nonzero(~np.isfinite(scores))} of {len(scores)} images are not "
            "finite. Expected numbers. The network overflows or is damaged: train or export it again."
        )
    return scores


def fit_stranger_threshold(
    scores: FloatArray, groups: NDArray[np.str_], settings: UnknownSettings
) -> UnknownThreshold:
    """The stranger score above which an image is a stranger, by the rule of the unknown threshold.

    Where `stranger_alpha` cannot be promised the threshold is the largest score, and it is used all the same:
    of new known images a share of 1 / (n + 1) is expected above it.

    Args:
        scores: (n,) of held-out known images.
        groups: (n,) group names.
        settings: `stranger_alpha` and delta.
    """
    own = settings.model_copy(update={"alpha": settings.stranger_alpha})
    fitted = fit_threshold(scores, groups, own)
    return fitted.model_copy(update={"score_name": SCORE_NAME, "calibration_scores": (), "ladder": ()})

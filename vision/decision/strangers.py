"""Strangers: pictures of another kind than all that was taught, told by the statistics of an early layer.

A late layer forgets what is not needed to tell the classes apart, so that a cat can look like a fish to it.
An early one still holds it: mean and standard deviation of its channels, and their Mahalanobis distance from
known images (covariance of Ledoit and Wolf 2004; `vision.decision.fitting.fit_strangers`).
"""

from __future__ import annotations

import numpy as np

from vision.base.errors import TaxonError
from vision.base.record import FloatArray
from vision.decision.arrays import Arrays
from vision.decision.formulas import measure_length


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
    scores = measure_length(early, centre, arrays["stranger_whitener"])
    if not np.isfinite(scores).all():
        raise TaxonError(
            f"Early statistics of {np.count_nonzero(~np.isfinite(scores))} of {len(scores)} images are not "
            "finite. Expected numbers. The network overflows or is damaged: train or export it again."
        )
    return scores

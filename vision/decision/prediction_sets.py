"""Prediction sets: the classes that an image of a known class may be of, the true one promised among them.

A class belongs to the set if 1 - its calibrated probability is at most a threshold (LAC: Sadinle, Lei and
Wasserman 2019, the smallest sets on average), and the most probable class always. The threshold is that of
`fit_threshold` on 1 - probability of the true class: it counts groups, and holds but for `delta`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vision.base.record import FloatArray, IntArray
from vision.config.decision import UnknownSettings
from vision.decision.records import DecisionRule, UnknownThreshold
from vision.decision.unknown_threshold import fit_threshold


def fit_set_threshold(
    probs: FloatArray, labels: IntArray, groups: NDArray[np.str_], settings: UnknownSettings
) -> UnknownThreshold:
    """The largest 1 - probability of a class in the set; at most `alpha` of known images lack their class.

    `probs` (n, k) are calibrated, of held-out known images; alpha and delta are those of the unknown promise.
    """
    fitted = fit_threshold(1.0 - probs[np.arange(len(labels)), labels], groups, settings)
    return fitted.model_copy(update={"score_name": "lac", "calibration_scores": (), "ladder": ()})


def find_sets(rule: DecisionRule, probs: FloatArray) -> NDArray[np.bool_] | None:
    """(n, k) whether a class is in an image's set; None where the rule promises none."""
    threshold = rule.prediction_set
    if threshold is None or not threshold.attainable:
        return None
    members: NDArray[np.bool_] = 1.0 - probs <= threshold.value
    members[np.arange(len(probs)), probs.argmax(axis=1)] = True
    return members

"""Shares of the classes in images without labels, where they may be other than those of the calibration.

The mean of calibrated probabilities leans towards the shares of the calibration, because these are in every
probability: at 77% accuracy a class that really has 80% instead of 50% shows as some 60%. The shares that
make the window likeliest come from expectation maximisation (Saerens, Latinne & Decaestecker 2002, "Adjusting
the outputs of a classifier to new a priori probabilities"). It assumes label shift: within a class the images
are as before.
"""

from __future__ import annotations

import numpy as np

from vision.base.record import FloatArray

MOST_ROUNDS = 300
TOLERANCE = 1e-7
"""A step that moves no share by more is the last."""

_LEAST = 1e-12


def estimate_shares(
    probs: FloatArray,
    weights: FloatArray,
    before: FloatArray,
    start: FloatArray | None = None,
) -> FloatArray:
    """The shares of the classes under which images are likeliest, for each of several weightings of them.

    Args:
        probs: (n, k) calibrated probabilities, under the shares `before`.
        weights: (r, n) of the images, at least 0; each row has a positive sum.
        before: (k,) shares that the probabilities were calibrated on, or (r, k), of each weighting.
        start: (k,) shares to begin with; `before` where None.

    Returns:
        (r, k), rows sum to 1.
    """
    weights = weights / weights.sum(axis=1, keepdims=True)
    before = np.maximum(before, _LEAST)
    first = before if start is None else np.maximum(start, _LEAST)
    size = len(weights), probs.shape[1]
    shares = np.broadcast_to(first / first.sum(axis=-1, keepdims=True), size).copy()
    before = np.broadcast_to(before, size)
    going = np.arange(len(weights))
    for _ in range(MOST_ROUNDS):
        here, of_these, under = shares[going], weights[going], before[going]
        once = _step(here, probs, of_these, under)
        twice = _step(once, probs, of_these, under)
        shares[going] = _step(_leap(here, once, twice), probs, of_these, under)
        going = going[np.abs(twice - once).max(axis=1) > TOLERANCE]
        if not len(going):
            break
    return shares


def _step(shares: FloatArray, probs: FloatArray, weights: FloatArray, before: FloatArray) -> FloatArray:
    """One step of expectation maximisation, (r, k)."""
    ratios = shares / before
    moved = ratios * ((weights / np.maximum(ratios @ probs.T, _LEAST)) @ probs)
    return np.asarray(moved / moved.sum(axis=1, keepdims=True))


def _leap(here: FloatArray, once: FloatArray, twice: FloatArray) -> FloatArray:
    """Where two steps lead to if they went on, (r, k): squared extrapolation (Varadhan & Roland 2008)."""
    first = once - here
    turn = twice - once - first
    length = np.sqrt((first**2).sum(axis=1) / np.maximum((turn**2).sum(axis=1), _LEAST**2))
    length = np.maximum(length, 1.0)[:, None]
    far = here + 2.0 * length * first + length**2 * turn
    inside = (far > 0.0).all(axis=1, keepdims=True)
    return np.asarray(np.where(inside, far, twice))


def adjust_confidence(probs: FloatArray, shares: FloatArray, before: FloatArray) -> FloatArray:
    """Probability, under other shares of the classes, that the class answered under the old ones is right.

    (r, n), of calibrated probabilities (n, k) under the shares `before` (k,) and of other shares (r, k).
    """
    ratios = shares / np.maximum(before, _LEAST)
    answers = probs.argmax(axis=1)
    likelihoods = np.maximum(ratios @ probs.T, _LEAST)
    return np.asarray(ratios[:, answers] * probs.max(axis=1) / likelihoods)

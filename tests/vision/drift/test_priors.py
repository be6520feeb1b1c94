"""Under simulated label shift, with probabilities that are exact, the true shares and accuracy are found."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from vision.base.record import FloatArray, IntArray
from vision.drift.priors import adjust_confidence, estimate_shares

BEFORE = np.array([0.5, 0.5])
AT = np.array([-0.74, 0.74])
"""Centres of two normal classes of deviation 1: the better guess is right in 77% of images."""


def draw(shares: FloatArray, num: int, seed: int, centres: FloatArray = AT) -> tuple[IntArray, FloatArray]:
    """Labels by these shares, and the exact probabilities under equal ones."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(len(shares), num, p=shares)
    values = centres[labels] + rng.normal(size=num)
    density = np.exp(-0.5 * (values[:, None] - centres) ** 2)
    return labels, density / density.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95, 0.2])
def test_the_true_share_is_found_where_the_mean_probability_leans_to_the_old_one(share: float) -> None:
    labels, probs = draw(np.array([share, 1 - share]), 20_000, seed=1)
    assert (probs.argmax(axis=1) == labels).mean() == pytest.approx(0.77, abs=0.02)
    found = estimate_shares(probs, np.ones((1, len(probs))), BEFORE)[0]
    assert found[0] == pytest.approx(share, abs=0.02)
    assert found.sum() == pytest.approx(1.0)
    leaning = probs.mean(axis=0)[0]
    assert abs(leaning - 0.5) < 0.6 * abs(share - 0.5) + 0.01


def test_without_a_shift_the_shares_stay_and_the_confidence_is_as_it_was() -> None:
    _, probs = draw(BEFORE, 20_000, seed=2)
    before = probs.mean(axis=0)
    found = estimate_shares(probs, np.ones((1, len(probs))), before)
    assert_allclose(found[0], before, atol=1e-4)
    assert_allclose(adjust_confidence(probs, before[None, :], before)[0], probs.max(axis=1))


def test_the_accuracy_under_the_new_shares_is_found_where_old_confidence_misses_it() -> None:
    centres = np.array([-1.2, 0.0, 1.2])  # the class in the middle is mistaken for both others
    before = np.full(3, 1 / 3)
    labels, probs = draw(np.array([0.05, 0.9, 0.05]), 40_000, 3, centres)
    accuracy = (probs.argmax(axis=1) == labels).mean()
    shares = estimate_shares(probs, np.ones((1, len(probs))), before)
    adjusted = adjust_confidence(probs, shares, before)[0].mean()
    assert adjusted == pytest.approx(accuracy, abs=0.015)
    assert abs(probs.max(axis=1).mean() - accuracy) > 0.02


def test_every_weighting_has_shares_of_its_own() -> None:
    _, probs = draw(np.array([0.7, 0.3]), 3_000, seed=4)
    likely = probs[:, 0] > 0.5
    weights = np.stack([np.ones(len(probs)), likely, ~likely]).astype(float)
    whole, first, second = estimate_shares(probs, weights, BEFORE)[:, 0]
    assert second < whole < first
    alone = estimate_shares(probs[likely], np.ones((1, int(likely.sum()))), BEFORE)[0, 0]
    assert first == pytest.approx(alone, abs=1e-3)


def test_a_class_that_the_old_images_had_none_of_is_no_division_by_zero() -> None:
    probs = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]] * 5)
    found = estimate_shares(probs, np.ones((1, 10)), np.array([0.9, 0.1, 0.0]))
    assert_allclose(found, [[0.5, 0.5, 0.0]], atol=1e-6)


def test_each_weighting_may_have_shares_of_its_own_before() -> None:
    _, probs = draw(np.array([0.7, 0.3]), 500, seed=4)
    weights = np.random.default_rng(5).random((3, 500))
    before = np.array([[0.5, 0.5], [0.6, 0.4], [0.3, 0.7]])
    together = estimate_shares(probs, weights, before)
    for row, own, found in zip(weights, before, together, strict=True):
        assert_allclose(found, estimate_shares(probs, row[None, :], own)[0])
    assert np.ptp(together[:, 0]) > 0.05

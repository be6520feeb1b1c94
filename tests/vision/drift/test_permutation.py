"""Statistics agree with their formulas, weigh groups equally, and fire by chance as often as promised."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import binom, ks_2samp

from vision.base.record import FloatArray, IntArray
from vision.drift.permutation import (
    GRID,
    average_groups,
    differ_means,
    draw_assignments,
    find_p_value,
    measure_hotelling,
    measure_ks,
    measure_mmd,
    studentise,
    whiten,
)


def truth(num_reference: int, num_window: int) -> FloatArray:
    """The true assignment alone."""
    return draw_assignments(num_reference, num_window, 0, np.random.default_rng(0))


def test_the_true_assignment_comes_first_and_every_other_has_as_many_groups() -> None:
    draws = draw_assignments(5, 3, 99, np.random.default_rng(1))
    assert draws.shape == (100, 8)
    assert_array_equal(draws[0], [0, 0, 0, 0, 0, 1, 1, 1])
    assert_array_equal(draws.sum(axis=1), 3)
    assert_allclose(draws[1:].mean(axis=0), 3 / 8, atol=0.2)


def test_a_p_value_is_the_share_at_least_as_large_with_ties_and_itself() -> None:
    assert find_p_value(np.array([3.0, 1.0, 2.0, 4.0])) == 0.5
    assert find_p_value(np.array([3.0, 3.0, 0.0, 0.0])) == 0.5
    assert find_p_value(np.array([9.0, *[0.0] * 99])) == 0.01
    assert find_p_value(np.zeros(10)) == 1.0


def test_a_tie_but_for_rounding_counts() -> None:
    assert find_p_value(np.array([0.3, 0.1 + 0.2 - 1e-12, 0.0, 0.0])) == 0.5


def test_group_means_by_hand() -> None:
    values = np.array([[1.0], [3.0], [5.0]])
    assert_array_equal(average_groups(values, np.array([0, 0, 1])), [[2.0], [5.0]])


def test_the_difference_is_window_minus_reference() -> None:
    assert_allclose(differ_means(np.array([[1.0], [2.0], [6.0]]), truth(2, 1)), [[4.5]])


def test_ks_by_hand_counts_a_group_of_two_frames_once() -> None:
    # reference: groups {1} and {2}; window: one group {2, 4}. At 1: 1/2 against 0; at 2: 1 against 1/2.
    statistic = measure_ks(np.array([1.0, 2.0, 2.0, 4.0]), np.array([0, 1, 2, 2]), truth(2, 1))
    assert_allclose(statistic, [0.5])


def test_ks_of_single_images_agrees_with_scipy() -> None:
    rng = np.random.default_rng(3)
    earlier, later = rng.normal(size=60), rng.normal(0.4, 1.3, size=40)
    assert len(earlier) + len(later) <= GRID
    statistic = measure_ks(np.concatenate([earlier, later]), np.arange(100), truth(60, 40))
    assert_allclose(statistic, [ks_2samp(earlier, later).statistic], atol=1e-6)


def test_ks_on_a_grid_is_close_to_that_at_every_value() -> None:
    rng = np.random.default_rng(4)
    earlier, later = rng.normal(size=900), rng.normal(0.3, 1.0, size=600)
    statistic = measure_ks(np.concatenate([earlier, later]), np.arange(1500), truth(900, 600))
    assert_allclose(statistic, [ks_2samp(earlier, later).statistic], atol=1 / GRID)


def test_studentised_columns_are_standard_and_a_constant_one_is_nothing() -> None:
    scaled = studentise(np.array([[1.0, 0.2], [3.0, 0.2]]))
    assert_array_equal(scaled, [[-1.0, 0.0], [1.0, 0.0]])


def test_mmd_by_hand() -> None:
    # two images at 0, two at 5: the median squared distance is 25, so a pair across has the kernel exp(-1/2)
    values = np.array([[0.0], [0.0], [5.0], [5.0]])
    statistic = measure_mmd(values, np.arange(4), truth(2, 2), np.random.default_rng(0))
    assert_allclose(statistic, [2 - 2 * math.exp(-0.5)], rtol=1e-5)


def test_mmd_of_every_assignment_is_the_unbiased_estimate_over_groups() -> None:
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(9), [1, 3, 2, 1, 1, 4, 2, 1, 3])
    values = rng.normal(size=(len(groups), 3))
    draws = draw_assignments(5, 4, 20, rng)
    distances = ((values[:, None] - values) ** 2).sum(axis=2)
    width = np.median(distances[groups[:, None] != groups])
    kernel = np.exp(-distances / (2 * width))
    pairs = np.array([[kernel[np.ix_(groups == a, groups == b)].mean() for b in range(9)] for a in range(9)])
    expected = []
    for draw in draws:
        later, earlier = np.flatnonzero(draw == 1), np.flatnonzero(draw == 0)
        within = [pairs[a, b] for a in later for b in later if a != b]
        others = [pairs[a, b] for a in earlier for b in earlier if a != b]
        expected.append(np.mean(within) + np.mean(others) - 2 * pairs[np.ix_(later, earlier)].mean())
    assert_allclose(measure_mmd(values, groups, draws, rng), expected, atol=1e-6)


def test_mmd_of_images_that_are_all_alike_is_nothing() -> None:
    statistics = measure_mmd(
        np.zeros((6, 1)),
        np.arange(6),
        draw_assignments(3, 3, 9, np.random.default_rng(0)),
        np.random.default_rng(0),
    )
    assert_allclose(statistics, 0.0, atol=1e-12)
    assert find_p_value(statistics) == 1.0


def test_hotelling_is_the_squared_mahalanobis_length_of_the_difference() -> None:
    means = np.array([[0.0, 0.0], [2.0, 1.0], [1.0, 3.0], [4.0, 2.0]])
    covariance = np.cov(means.T, bias=True)
    difference = means[2:].mean(axis=0) - means[:2].mean(axis=0)
    expected = difference @ np.linalg.inv(covariance) @ difference
    assert_allclose(measure_hotelling(means, truth(2, 2)), [expected], rtol=1e-5)


def test_hotelling_ignores_a_class_that_never_occurs_and_that_shares_add_up() -> None:
    rng = np.random.default_rng(6)
    shares = rng.dirichlet([1, 1, 1], size=20)
    draws = draw_assignments(12, 8, 9, rng)
    expected = measure_hotelling(shares[:, :2], draws)
    padded = np.column_stack([shares, np.zeros(20)])
    assert_allclose(measure_hotelling(padded, draws), expected, rtol=1e-3)


def test_whitened_directions_are_uncorrelated_of_variance_one_the_largest_first() -> None:
    rng = np.random.default_rng(7)
    raw = rng.normal(size=(200, 3)) * [1.0, 10.0, 3.0]
    values = whiten(raw, 2)
    assert_allclose(np.cov(values.T, bias=True), np.eye(2), atol=1e-9)
    assert abs(np.corrcoef(values[:, 0], raw[:, 1])[0, 1]) > 0.99


def test_directions_without_variance_are_left_out() -> None:
    assert whiten(np.column_stack([np.arange(9.0), np.full(9, 4.0)]), 32).shape == (9, 1)
    assert_array_equal(whiten(np.full((5, 3), 2.0), 32), np.zeros((5, 1)))


def draw_correlated(rng: np.random.Generator) -> tuple[FloatArray, IntArray, int, int]:
    """Frames that are nearly copies within a group: 40 groups of the reference, 20 of the window."""
    sizes = np.concatenate([rng.integers(3, 7, 40), rng.integers(3, 7, 20)])
    groups = np.repeat(np.arange(60), sizes)
    values = rng.normal(size=(60, 4))[groups] + 0.2 * rng.normal(size=(len(groups), 4))
    return values, groups, 40, 20


def count_alarms(num_rounds: int, *, by_image: bool) -> dict[str, int]:
    """How often each statistic has p <= 0.05 where nothing drifts."""
    alarms = {"ks": 0, "mmd": 0, "hotelling": 0, "mean": 0}
    for round_number in range(num_rounds):
        rng = np.random.default_rng([9, round_number])
        values, groups, earlier, later = draw_correlated(rng)
        if by_image:
            earlier, later = int((groups < earlier).sum()), int((groups >= earlier).sum())
            groups = np.arange(len(groups))
        draws = draw_assignments(earlier, later, 99, rng)
        means = average_groups(values, groups)
        ks = studentise(np.column_stack([measure_ks(column, groups, draws) for column in values.T]))
        statistics = {
            "ks": ks.max(axis=1),
            "mmd": measure_mmd(values, groups, draws, rng),
            "hotelling": measure_hotelling(means, draws),
            "mean": differ_means(means, draws)[:, 0],
        }
        for name, found in statistics.items():
            alarms[name] += find_p_value(found) <= 0.05
    return alarms


@pytest.mark.slow
def test_nothing_fires_more_often_than_promised_where_frames_of_a_group_are_copies() -> None:
    num_rounds = 120
    alarms = count_alarms(num_rounds, by_image=False)
    most = int(binom.ppf(0.9999, num_rounds, 0.05))
    assert max(alarms.values()) <= most, alarms
    assert min(alarms.values()) >= 1, alarms  # they are at their level, not dead


@pytest.mark.slow
def test_exchanging_images_instead_of_groups_would_fire_most_of_the_time() -> None:
    alarms = count_alarms(10, by_image=True)
    assert alarms["mmd"] >= 6  # 0.5 expected at the level that it would claim
    assert alarms["hotelling"] >= 6

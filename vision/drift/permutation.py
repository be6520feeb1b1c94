"""Permutation tests whether two sets of groups differ; whole groups are exchanged, never single frames.

A p-value is the share of assignments of groups to the two sets, the true one among them, whose statistic is
at least the true one's (Phipson & Smyth 2010). If the groups of both sets are drawn alike it is at most alpha
with probability alpha at most, whatever the images of one group have to do with each other. Every statistic
weighs groups equally, however many images they have.

`groups` are (n,) numbers 0..g-1, ascending. `draws` are (p + 1, g) float32: 1 where a group is in the second
set (the window), 0 where it is in the first (the reference); row 0 is the true assignment. Functions that
return statistics return (p + 1,) of them in that order.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh, pinvh

from vision.base.record import FloatArray, IntArray

GRID = 128
"""Most points at which distributions are compared."""

_BANDWIDTH_ROWS = 500
_ROUNDING = 1e-6
_FLAT = 1e-6


def draw_assignments(
    num_reference: int, num_window: int, permutations: int, rng: np.random.Generator
) -> FloatArray:
    """The true assignment, groups of the window last, and random ones of as many groups: (p + 1, g)."""
    total = num_reference + num_window
    draws = np.zeros((permutations + 1, total), dtype=np.float32)
    draws[0, num_reference:] = 1.0
    order = rng.random((permutations, total), dtype=np.float32)
    chosen = order.argpartition(num_window - 1, axis=1)[:, :num_window]
    np.put_along_axis(draws[1:], chosen, 1.0, axis=1)
    return draws


def find_p_value(statistics: FloatArray) -> float:
    """Share of the (p + 1,) statistics that are at least the first; a tie but for rounding counts.

    The least possible value is 1 / (p + 1).

    Raises:
        ValueError: a statistic is no number.
    """
    if np.isnan(statistics).any():
        raise ValueError("A statistic is NaN; expected numbers. Compare values that are finite.")
    slack = _ROUNDING * float(np.abs(statistics).max(initial=0.0))
    return float(np.mean(statistics >= statistics[0] - slack))


def average_groups(values: FloatArray, groups: IntArray) -> FloatArray:
    """Mean of each group, (n, ...) floats -> (g, ...)."""
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    sizes = np.bincount(groups).astype(values.dtype).reshape(-1, *[1] * (values.ndim - 1))
    means: FloatArray = np.add.reduceat(values, starts, axis=0) / sizes
    return means


def once_a_group(groups: IntArray) -> FloatArray:
    """(n,) weights of images under which each group counts once."""
    weights: FloatArray = 1.0 / np.bincount(groups)[groups]
    return weights


def differ_means(means: FloatArray, draws: FloatArray) -> FloatArray:
    """Mean over the window's groups minus that over the reference's, (g, c) -> (p + 1, c)."""
    num_window = float(draws[0].sum())
    sums = draws @ means.astype(np.float32)
    differences: FloatArray = sums / num_window - (means.sum(axis=0) - sums) / (len(means) - num_window)
    return differences


def measure_ks(values: FloatArray, groups: IntArray, draws: FloatArray) -> FloatArray:
    """Kolmogorov-Smirnov statistics: largest distance of the two mean distribution functions, 0 to 1.

    A group's distribution function is that of its images; those of a set are averaged over its groups. They
    are compared at all values (n,), or at `GRID` of their quantiles where there are more.
    """
    points = np.unique(values)
    if len(points) > GRID:
        points = np.unique(np.quantile(values, np.linspace(0.0, 1.0, GRID), method="inverted_cdf"))
    below = (values[:, None] <= points).astype(np.float32)
    statistics: FloatArray = np.abs(differ_means(average_groups(below, groups), draws)).max(axis=1)
    return statistics


def studentise(statistics: FloatArray) -> FloatArray:
    """Columns (p + 1, c) minus their mean, over their deviation; 0 where all assignments are equal."""
    deviation = statistics.std(axis=0)
    flat = deviation <= _ROUNDING
    scaled: FloatArray = (statistics - statistics.mean(axis=0)) / np.where(flat, 1.0, deviation)
    scaled[:, flat] = 0.0
    return scaled


def measure_mmd(
    values: FloatArray, groups: IntArray, draws: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Squared maximum mean discrepancy of two sets of groups, unbiased (Gretton et al. 2012, eq. 3).

    The kernel is that of `compare_groups`. A group is not compared with itself: groups of few frames are more
    like themselves than groups of many.
    """
    kernel = compare_groups(values, groups, rng)
    num_groups, num_window = len(kernel), float(draws[0].sum())
    num_reference = num_groups - num_window
    np.fill_diagonal(kernel, 0.0)
    kernel -= kernel.sum() / (
        num_groups * (num_groups - 1)
    )  # a constant cancels; without it float32 is enough
    np.fill_diagonal(kernel, 0.0)
    light = draws.astype(np.float32)
    within = np.einsum("pg,pg->p", light @ kernel.astype(np.float32), light, dtype=np.float64)
    across = draws @ kernel.sum(axis=1) - within
    others = kernel.sum() - within - 2.0 * across
    statistics: FloatArray = (
        within / (num_window * (num_window - 1))
        + others / (num_reference * (num_reference - 1))
        - 2.0 * across / (num_window * num_reference)
    )
    return statistics


def compare_groups(values: FloatArray, groups: IntArray, rng: np.random.Generator) -> FloatArray:
    """How alike each two groups are, (g, g) float32: the mean kernel of their images.

    The kernel is exp(-d^2 / (2 s^2)) on values (n, p), with s^2 the median squared distance of images of
    different groups, estimated on some rows drawn by `rng`.
    """
    return _average_kernel(values, groups, _find_bandwidth(values, groups, rng))


def measure_hotelling(means: FloatArray, draws: FloatArray) -> FloatArray:
    """Hotelling's statistic without its factor of sizes: d' S^+ d for the difference d of the two means.

    S is the covariance of all groups' means (g, c) around their common mean, which gives the same order of
    assignments as the covariance within the sets. Directions of less than a millionth of its largest variance
    (probabilities add up to 1; a class that never occurs) are left out.
    """
    centred = means - means.mean(axis=0)
    inverse = pinvh(centred.T @ centred / len(means), rtol=_FLAT)
    differences = differ_means(means, draws)
    statistics: FloatArray = np.einsum("pc,cd,pd->p", differences, inverse, differences)
    return statistics


def whiten(values: FloatArray, num_directions: int) -> FloatArray:
    """Principal components of (n, d), each scaled to variance 1, the largest first: (n, m).

    m is at most `num_directions`; directions of less than a millionth of the largest variance are left out.
    Where nothing varies, m is 1 and all is 0.
    """
    centred = values - values.mean(axis=0)
    num, width = centred.shape
    wanted = max(0, width - num_directions), width - 1
    variances, directions = eigh(centred.T @ centred / num, subset_by_index=wanted)
    kept = variances > max(_FLAT * float(variances[-1]), np.finfo(np.float64).tiny)
    if not kept.any():
        return np.zeros((num, 1))
    scaled: FloatArray = (centred @ directions[:, kept] / np.sqrt(variances[kept]))[:, ::-1]
    return scaled


def _average_kernel(values: FloatArray, groups: IntArray, squared_width: float) -> FloatArray:
    """(g, g) float32: mean kernel between the images of each two groups."""
    light = (values / np.sqrt(2.0 * squared_width)).astype(np.float32)
    squares = np.einsum("np,np->n", light, light)
    kernel = light @ light.T
    kernel *= 2.0
    kernel -= squares[:, None]
    kernel -= squares
    np.exp(kernel, out=kernel)
    return average_groups(average_groups(kernel, groups).T, groups)


def _find_bandwidth(values: FloatArray, groups: IntArray, rng: np.random.Generator) -> float:
    """Median squared distance of images of different groups; 1 where most lie in one place."""
    rows = np.sort(rng.permutation(len(values))[:_BANDWIDTH_ROWS])
    drawn, members = values[rows], groups[rows]
    squares = ((drawn[:, None] - drawn) ** 2).sum(axis=2)
    median = float(np.median(squares[members[:, None] != members]))
    return median if median > 0.0 else 1.0

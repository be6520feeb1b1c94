"""Bootstrap over groups, and how much images of one group repeat each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vision.base.record import FloatArray, IntArray, Interval
from vision.base.softmax import require_images
from vision.config.evaluation import BootstrapSettings

MAX_CELLS = 4_000_000
"""Largest number of array cells that one block of resamples holds (32 MB of float64)."""

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class GroupResamples:
    """Resamples of whole groups, drawn once and shared by every figure about the same images.

    Attributes:
        members: (n,) index of each image's group.
        counts: (resamples, g) how often each group was drawn; rows sum to g.
        level: probability mass of the intervals.
    """

    members: IntArray
    counts: IntArray
    level: float

    @property
    def num_groups(self) -> int:
        """Number of distinct groups."""
        return int(self.counts.shape[1])

    def image_counts(self) -> IntArray:
        """How often each image was drawn, (resamples, n)."""
        return self.counts[:, self.members]

    def sums(self, values: FloatArray) -> FloatArray:
        """Sum of per-image `values` (n,) or (n, m) over each resample, (resamples,) or (resamples, m)."""
        columns = np.asarray(values, dtype=np.float64).reshape(len(self.members), -1)
        per_group = np.zeros((self.num_groups, columns.shape[1]))
        np.add.at(per_group, self.members, columns)
        totals = np.concatenate(
            [self.counts[block] @ per_group for block in blocks(len(self.counts), self.num_groups)]
        )
        return totals[:, 0] if np.ndim(values) == 1 else totals

    def interval(self, value: float, samples: FloatArray) -> Interval:
        """`value` with the percentile interval of its resampled `samples` (resamples,).

        A single group can be resampled in one way only, which would look like certainty: its bounds are NaN.
        """
        enough = self.num_groups >= 2
        return percentile_interval(value, samples if enough else np.zeros(0), self.level)

    def mean(self, values: FloatArray | BoolArray) -> Interval:
        """Mean of per-image `values` (n,) with its interval."""
        numbers = np.asarray(values, dtype=np.float64)
        if not len(numbers):
            return Interval(value=np.nan, low=np.nan, high=np.nan)
        samples = self.sums(np.column_stack([numbers, np.ones(len(numbers))]))
        return self.interval(float(numbers.mean()), samples[:, 0] / samples[:, 1])

    def share(self, hits: BoolArray) -> Interval:
        """Share of the images in a mask (n,), with its exact interval (`share_interval`)."""
        return share_interval(hits, self.members, self.level)


def percentile_interval(value: float, samples: FloatArray, level: float) -> Interval:
    """`value` with the central `level` of `samples` (r,), NaNs left out; bounds are NaN without any."""
    finite = np.asarray(samples)[np.isfinite(samples)]
    if not len(finite):
        return Interval(value=value, low=np.nan, high=np.nan)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(finite, [tail, 1.0 - tail])
    return Interval(value=value, low=float(low), high=float(high))


def share_interval(hits: ArrayLike, groups: ArrayLike, level: float) -> Interval:
    """Share of the images in a mask (n,), with the exact interval of their effective number.

    A bootstrap of 60 hits in 60 says 100% to 100%, since what was not seen is never drawn; the exact interval
    says 94% to 100%. Images count by their design effect; where all answer alike, which tells nothing of the
    likeness within groups, a group counts as one. Bounds are NaN with fewer than two groups.
    """
    mask = np.asarray(hits, dtype=bool)
    num_groups = len(np.unique(np.asarray(groups)))
    value = float(mask.mean()) if len(mask) else float("nan")
    if num_groups < 2:
        return Interval(value=value, low=np.nan, high=np.nan)
    constant = bool(mask.all() or not mask.any())
    size = num_groups if constant else len(mask) / design_effect(mask, groups)
    exact = exact_interval(value * size, size, level)
    return Interval(value=value, low=exact.low, high=exact.high)


def exact_interval(hits: float, trials: float, level: float) -> Interval:
    """Share of `hits` among `trials` > 0 with the interval of Clopper & Pearson (1934)."""
    from scipy.stats import beta

    tail = (1.0 - level) / 2.0
    low = float(beta.ppf(tail, hits, trials - hits + 1)) if hits > 0 else 0.0
    high = float(beta.ppf(1.0 - tail, hits + 1, trials - hits)) if hits < trials else 1.0
    return Interval(value=hits / trials, low=low, high=high)


def resample_groups(
    groups: ArrayLike,
    bootstrap: BootstrapSettings,
    rng: np.random.Generator,
    strata: ArrayLike | None = None,
) -> GroupResamples:
    """Draws as many groups as there are, with replacement, `bootstrap.resamples` times.

    With `strata` (n,) as many groups of each stratum are drawn as it has; a group that lies in two strata is
    two groups.
    """
    names = np.asarray(groups)
    _, members = np.unique(names, return_inverse=True)
    if strata is not None:
        _, stratum = np.unique(np.asarray(strata), return_inverse=True)
        pairs, members = np.unique(np.column_stack([stratum, members]), axis=0, return_inverse=True)
        sizes = np.bincount(pairs[:, 0].astype(np.int64))
    else:
        sizes = np.array([len(np.unique(names))])
    counts = np.hstack([_draw_counts(int(size), bootstrap.resamples, rng) for size in sizes])
    return GroupResamples(members=members.ravel(), counts=counts, level=bootstrap.level)


def intraclass_correlation(indicator: ArrayLike, groups: ArrayLike) -> float:
    """How alike the images of a group are in `indicator` (n,), by one-way analysis of variance.

    ICC = (MSB - MSW) / (MSB + (s0 - 1) MSW) (Fleiss 1986); it may be slightly negative. NaN where it cannot
    be estimated: a constant indicator, one group only, or no group with two images.
    """
    values = np.asarray(indicator, dtype=np.float64)
    _, members, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    num, num_groups = len(values), len(sizes)
    if num_groups < 2 or num == num_groups:
        return float("nan")
    means = np.bincount(members, weights=values) / sizes
    between = float((sizes * (means - values.mean()) ** 2).sum()) / (num_groups - 1)
    within = float(((values - means[members]) ** 2).sum()) / (num - num_groups)
    typical_size = (num - float((sizes**2).sum()) / num) / (num_groups - 1)
    spread = between + (typical_size - 1.0) * within
    return (between - within) / spread if spread > 1e-15 else float("nan")


def design_effect(indicator: ArrayLike, groups: ArrayLike, *, fallback: float = 1.0) -> float:
    """How many images count as one because groups answer alike: n / design_effect is the effective size.

    1 + (Σs²/Σs - 1) max(0, ICC) with s the group sizes (Kish 1965). Where the ICC cannot be estimated,
    `fallback` stands in: by default 1, the worst, where a group counts about once.

    Raises:
        DataError: there is no image.
    """
    _, sizes = np.unique(np.asarray(groups), return_counts=True)
    require_images(len(sizes), "The design effect")
    correlation = intraclass_correlation(indicator, groups)
    used = max(0.0, fallback if np.isnan(correlation) else correlation)
    return 1.0 + (float((sizes**2).sum() / sizes.sum()) - 1.0) * used


def _draw_counts(num_groups: int, resamples: int, rng: np.random.Generator) -> IntArray:
    counts = np.zeros((resamples, num_groups), dtype=np.int32)
    for block in blocks(resamples, num_groups):
        num = block.stop - block.start
        drawn = rng.integers(num_groups, size=(num, num_groups)) + num_groups * np.arange(num)[:, None]
        counts[block] = np.bincount(drawn.ravel(), minlength=num * num_groups).reshape(num, num_groups)
    return counts


def blocks(num_rows: int, num_columns: int) -> list[slice]:
    """Slices of rows, each at most MAX_CELLS cells (at least one row)."""
    step = max(1, MAX_CELLS // max(1, num_columns))
    return [slice(start, min(start + step, num_rows)) for start in range(0, num_rows, step)]


def divide(numerator: Any, denominator: Any) -> FloatArray:
    """Quotient; NaN where the denominator is 0."""
    top, bottom = np.broadcast_arrays(
        np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    )
    quotient: FloatArray = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=quotient, where=bottom != 0)
    return quotient

"""Tests whether a window differs from the reference weighted to the window's shares of the classes.

An embedding holds the class, so other shares of the classes alone move it. Here each group of the reference
weighs as its calibrated probabilities say at the shares that the window has (`vision.drift.priors`);
where within each class the images are as before, the weighted reference and the window are of one
kind. How far they are apart is the squared maximum mean discrepancy. What chance gives cannot be had
by exchanging groups, for the two sides differ in shares: each bootstrap draws a reference from
the reference and a window from the weighted reference, and estimates the shares anew.

It holds its level as far as the probabilities are calibrated. Where few groups of the reference carry the
window's shares, or a frequent class, a move goes unseen; `Reweighted.carried` says whether enough do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vision.base.record import FloatArray
from vision.drift.permutation import average_groups, compare_groups, once_a_group
from vision.drift.priors import estimate_shares
from vision.drift.window import Pool

LEAST_EFFECTIVE = 30
"""Groups of the reference that have to carry the window's shares; with fewer, moves go unseen."""

LEAST_OF_CLASS, FREQUENT = 8, 0.1
"""Groups of the reference that a class rests on at least, if it has this share of the window or more."""

_LEAST = 1e-12


@dataclass(frozen=True, eq=False)
class Reweighted:
    """The reference at the window's shares.

    Attributes:
        shares: (k,) of the classes in the window, each group counted once.
        weights: (r,) of the reference's groups, sum 1.
        num_of_class: (k,) how many groups of the reference are of each class, by their probabilities.
    """

    shares: FloatArray
    weights: FloatArray
    num_of_class: FloatArray

    @property
    def num_effective(self) -> float:
        """As many groups of equal weight know as much (Kish 1965): few where few carry the weight."""
        return float(1.0 / max(np.square(self.weights).sum(), _LEAST))

    @property
    def carried(self) -> bool:
        """Whether enough of the reference carries the shares, and each class that is frequent in the window.

        A class that is rare in the reference hangs on few groups even where all the others are many: of a
        class of 2% that came to 20% and had moved by four spreads within it, seven windows of ten passed.
        """
        frequent = self.shares >= FREQUENT
        enough = bool((self.num_of_class[frequent] >= LEAST_OF_CLASS).all())
        return enough and self.num_effective >= LEAST_EFFECTIVE


def reweight(pool: Pool) -> Reweighted:
    """How much each group of the reference weighs at the shares of the classes that the window has."""
    means = average_groups(pool.probs, pool.groups)[: pool.num_reference_groups]
    before = means.mean(axis=0)
    later = pool.in_window
    shares = estimate_shares(pool.probs[later], once_a_group(pool.groups)[None, later], before)[0]
    weights = _weigh(shares, before, means)
    total = max(float(weights.sum()), _LEAST)  # 0 where the window is of a class that the reference lacks
    return Reweighted(shares=shares, weights=weights / total, num_of_class=means.sum(axis=0))


def measure_reweighted(
    pool: Pool, found: Reweighted, values: FloatArray, rounds: int, rng: np.random.Generator
) -> FloatArray:
    """Squared discrepancy of the window and the weighted reference, the one observed first: (rounds + 1,).

    Groups of the pool are of one size; `values` (n, p) are what its images are compared by.
    """
    num, num_window = pool.num_reference_groups, pool.num_groups - pool.num_reference_groups
    kernel = compare_groups(values, pool.groups, rng)
    kernel -= kernel.mean()  # a constant cancels; without it float32 is enough
    is_earlier = (np.arange(pool.num_groups) < num).astype(np.float64)[None, :]
    padded = np.pad(found.weights, (0, num_window))[None, :]
    observed = _measure(kernel, 1.0 - is_earlier, is_earlier, padded)
    earlier = rng.multinomial(num, np.full(num, 1.0 / num), rounds).astype(np.float64)
    later = rng.multinomial(num_window, found.weights, rounds).astype(np.float64)
    weights = _weigh_anew(pool, found, earlier, later)
    return np.concatenate([observed, _measure(kernel[:num, :num], later, earlier, weights)])


def _weigh_anew(pool: Pool, found: Reweighted, earlier: FloatArray, later: FloatArray) -> FloatArray:
    """Weights of the reference's groups in each bootstrap, from shares estimated in it alone: (b, r).

    `earlier` and `later` (b, r) say how often a group was drawn for the reference and for the window.
    """
    rows = np.flatnonzero(~pool.in_window)
    means = average_groups(pool.probs[rows], pool.groups[rows])
    before = earlier @ means / earlier.sum(axis=1, keepdims=True)
    counts = later[:, pool.groups[rows]] * once_a_group(pool.groups)[rows]
    shares = estimate_shares(pool.probs[rows], counts, before, start=found.shares)
    return _weigh(shares, before, means)


def _weigh(shares: FloatArray, before: FloatArray, means: FloatArray) -> FloatArray:
    """How much likelier groups of mean probabilities (r, k) are at `shares` than at `before`, (..., k)."""
    return np.asarray((shares / np.maximum(before, _LEAST)) @ means.T)


def _measure(kernel: FloatArray, later: FloatArray, earlier: FloatArray, weights: FloatArray) -> FloatArray:
    """Squared maximum mean discrepancy, unbiased, of drawn groups and weighted drawn groups: (b,).

    `later` and `earlier` (b, g) say how often each group of the kernel (g, g) was drawn for the window and
    for the reference, `weights` (b, g) what one draw for the reference weighs.
    """
    own = np.diag(kernel).astype(np.float64)
    num = later.sum(axis=1)
    shares = earlier * weights
    total = shares.sum(axis=1, keepdims=True)
    shares /= total
    squares = shares * weights / total  # of each draw by itself, added up
    light, others = later.astype(np.float32), shares.astype(np.float32)
    of_window, of_reference = light @ kernel, others @ kernel
    within = (np.einsum("bg,bg->b", of_window, light, dtype=np.float64) - later @ own) / (num * (num - 1.0))
    beside = np.einsum("bg,bg->b", of_reference, others, dtype=np.float64) - squares @ own
    across = np.einsum("bg,bg->b", of_reference, light, dtype=np.float64) / num
    statistics: FloatArray = within + beside / (1.0 - squares.sum(axis=1)) - 2.0 * across
    return statistics

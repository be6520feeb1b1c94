"""The questions that a window is asked, each by permutation of whole groups.

`draws` (p + 1, g) are assignments of groups, as in `vision.drift.permutation`, the one observed first.
"""

from __future__ import annotations

import numpy as np

from vision.base.record import FloatArray, IntArray
from vision.drift.permutation import (
    average_groups,
    differ_means,
    find_p_value,
    measure_hotelling,
    measure_ks,
    measure_mmd,
    once_a_group,
    studentise,
    whiten,
)
from vision.drift.records import ColumnDrift, DriftTest, Question
from vision.drift.reweighting import measure_reweighted, reweight
from vision.drift.window import Pool

QUANTILES = np.linspace(0.0, 1.0, 21)
"""Levels of the quantiles that a report keeps of each column."""

NUM_DIRECTIONS = 32
"""Principal directions of the embedding that E looks at."""

NAMING_LEVEL = 0.05
"""Level of the question at the window's shares. Drift is found already; only its name hangs on it, and label
mix is the name that makes people look away."""

SHARE_ROUNDS = 199
"""Bootstraps of that question. Estimating the shares in each is what it costs."""

_ROUNDING = 1e-9


def ask_quality(
    pool: Pool, draws: FloatArray, names: tuple[str, ...], alpha: float
) -> tuple[DriftTest, tuple[ColumnDrift, ...]]:
    """Q: has any quality column moved? The largest studentised Kolmogorov-Smirnov statistic.

    A column's own p-value is the share of assignments in which any column moves as far as it (Westfall &
    Young 1993, single step), so that no column moves by chance more often than the whole question fires.
    """
    distances = np.column_stack([measure_ks(column, pool.groups, draws) for column in pool.quality.T])
    scaled = studentise(distances)
    largest = scaled.max(axis=1)
    columns = tuple(
        _describe_column(
            pool, name, column, float(distances[0, i]), np.append(scaled[0, i], largest[1:]), alpha
        )
        for i, (name, column) in enumerate(zip(names, pool.quality.T, strict=True))
    )
    return _conclude(Question.QUALITY, largest, alpha, _tell_columns(columns)), columns


def ask_embedding(
    pool: Pool, draws: FloatArray, alpha: float, rng: np.random.Generator, name: Question = Question.EMBEDDING
) -> DriftTest:
    """E: does the network see other images? MMD on the whitened principal directions of the embedding.

    It is asked of groups cut to one size: the principal directions lean towards frames that agree with each
    other, so that a side of many frames a group is unlike one of single frames where both are of one kind
    (uncut, 12 of 12 plain windows of one frame a group fired against groups of four).
    """
    level = pool.level(rng)
    values = whiten(level.embeddings, NUM_DIRECTIONS)
    statistics = measure_mmd(values, level.groups, draws, rng)
    who = "images that look known" if name == Question.KNOWN_EMBEDDING else "images"
    how = "unlike" if find_p_value(statistics) <= alpha else "like"
    evidence = (
        f"to the network the window's {who} are {how} the reference's: squared MMD "
        f"{statistics[0]:.2g}, {statistics[1:].max():.2g} at most by chance"
    )
    return _conclude(name, statistics, alpha, evidence)


def ask_unknown_rate(pool: Pool, draws: FloatArray, alpha: float, rng: np.random.Generator) -> DriftTest:
    """N: are more images called unknown? Difference of the mean rates of groups, one-sided.

    It is asked of groups cut to one size. The threshold of `unknown` lies where few images of the reference
    exceed it, and a group of more frames has more chances of being among so few: uncut, plain windows of five
    frames a group fired three times too often.
    """
    level = pool.level(rng)
    statistics = differ_means(_average_unknown(level), draws)[:, 0]
    earlier, later = _mean_of_sides(_average_unknown(pool), draws)
    evidence = f"called unknown: {later[0]:.1%} in the window, {earlier[0]:.1%} in the reference"
    return _conclude(Question.UNKNOWN_RATE, statistics, alpha, evidence)


def ask_label_mix(pool: Pool, draws: FloatArray, names: tuple[str, ...], alpha: float) -> DriftTest:
    """L: has the mix of classes changed? Hotelling's statistic on calibrated probabilities."""
    means = average_groups(pool.probs, pool.groups)
    statistics = measure_hotelling(means, draws)
    earlier, later = _mean_of_sides(means, draws)
    most = int(np.argmax(np.abs(later - earlier)))
    evidence = (
        f"largest change of a class's mean probability: {names[most]}, {later[most]:.1%} in the window, "
        f"{earlier[most]:.1%} in the reference"
    )
    return _conclude(Question.LABEL_MIX, statistics, alpha, evidence)


def ask_embedding_at_shares(pool: Pool, rng: np.random.Generator) -> DriftTest | None:
    """E once more, the reference weighed to the window's shares of the classes, at `NAMING_LEVEL`.

    None where too few groups of the reference carry those shares.
    """
    level = pool.level(rng)
    found = reweight(level)
    if not found.carried:
        return None
    values = whiten(level.embeddings, NUM_DIRECTIONS)
    statistics = measure_reweighted(level, found, values, SHARE_ROUNDS, rng)
    usual = float(np.quantile(statistics[1:], 1 - NAMING_LEVEL))
    how = "unlike" if find_p_value(statistics) <= NAMING_LEVEL else "like"
    evidence = (
        f"at the window's own shares of the classes its images are {how} the reference's: squared MMD "
        f"{statistics[0]:.2g}, above {usual:.2g} by chance in {NAMING_LEVEL:.0%} of cases; "
        f"{found.num_effective:.0f} groups of the reference carry these shares"
    )
    return _conclude(Question.EMBEDDING_AT_SHARES, statistics, NAMING_LEVEL, evidence)


def _conclude(name: Question, statistics: FloatArray, alpha: float, evidence: str) -> DriftTest:
    """The answer to a question from its statistics (p + 1,), the one observed first."""
    p_value = find_p_value(statistics)
    return DriftTest(
        name=name.value,
        statistic=float(statistics[0]),
        p_value=p_value,
        fired=p_value <= alpha,
        evidence=evidence,
    )


def _average_unknown(pool: Pool) -> FloatArray:
    """Share of each group that is called unknown, (g, 1)."""
    return average_groups(pool.called_unknown.astype(np.float64)[:, None], pool.groups)


def _mean_of_sides(means: FloatArray, draws: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean over the groups of the reference and of the window, (c,) each."""
    later = draws[0] > 0
    return means[~later].mean(axis=0), means[later].mean(axis=0)


def _describe_column(
    pool: Pool, name: str, values: FloatArray, distance: float, scaled: FloatArray, alpha: float
) -> ColumnDrift:
    """One column; `scaled` holds its own statistic, then the largest of all columns by chance."""
    p_value = find_p_value(scaled)
    earlier, later = (
        _find_quantiles(values[side], pool.groups[side]) for side in (~pool.in_window, pool.in_window)
    )
    return ColumnDrift(
        column=name,
        statistic=distance,
        studentised=float(scaled[0]),
        p_value=p_value,
        moved=p_value <= alpha,
        reference_median=earlier[len(earlier) // 2],
        window_median=later[len(later) // 2],
        reference_quantiles=earlier,
        window_quantiles=later,
    )


def _find_quantiles(values: FloatArray, groups: IntArray) -> tuple[float, ...]:
    """The quantiles at `QUANTILES` of values (n,) that weigh so that each group counts once."""
    order = np.argsort(values, kind="stable")
    weights = once_a_group(groups)[order]
    reached = np.cumsum(weights) / weights.sum()
    places = np.searchsorted(reached, QUANTILES - _ROUNDING)
    return tuple(float(value) for value in values[order][np.minimum(places, len(values) - 1)])


def _tell_columns(columns: tuple[ColumnDrift, ...]) -> str:
    ranked = sorted(columns, key=lambda each: -each.studentised)
    moved = [each for each in ranked if each.moved]
    if not moved:
        return f"no quality column moved beyond chance; {ranked[0].column} moved most"
    return "moved: " + ", ".join(
        f"{each.column} (median {each.reference_median:.3g} before, {each.window_median:.3g} now)"
        for each in moved
    )

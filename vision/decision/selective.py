"""The review threshold: what is accepted is wrong at most as often as promised, or nothing is accepted.

The promise: of images like the held-out images, of known classes and not called unknown, at most
`target_risk` of those with confidence >= value are wrong; it is broken with probability `delta`. It says
nothing of images of unknown classes. With no error at all it takes ln(delta) / ln(1 - target_risk) images
that answer independently: 114 for 2% at delta 0.1; fewer cannot promise it, and the record says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc

from vision.base.record import FloatArray
from vision.base.resampling import design_effect, intraclass_correlation
from vision.config.decision import ReviewSettings
from vision.decision.records import USEFUL_COVERAGE, ReviewThreshold, RiskRung

COVERAGES = np.arange(20, 101, 5) / 100
"""Shares of the images not called unknown that are tried in turn."""

RUNGS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2)
"""The ladder of promised risks, the strictest first."""

MOST_TIMES = 100.0
"""Largest multiple of the images at hand that is named as what a promise would need."""

UNATTAINABLE = 1.01
"""A confidence that no image reaches: everything is reviewed."""

NUM_PATHS = 10_000
PATH_SEED = 20

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Look:
    """The images accepted at one confidence, and what they prove.

    Attributes:
        value: least confidence accepted.
        num_accepted: images at or above it.
        risk: share of them that is wrong.
        effective_size: images accepted / design effect.
        design_effect: how many images count as one.
    """

    value: float
    num_accepted: int
    risk: float
    effective_size: float
    design_effect: float

    @property
    def effective_errors(self) -> float:
        """Wrong images / design effect."""
        return self.risk * self.effective_size


def fit_review(
    confidence: FloatArray,
    correct: BoolArray,
    called_unknown: BoolArray,
    groups: NDArray[Any],
    settings: ReviewSettings,
) -> ReviewThreshold:
    """The lowest confidence that may be accepted without a person (SGR, Geifman & El-Yaniv 2017).

    The most confident 20%, 25%, ... 100% of the images not called unknown are tried in this order. One passes
    if the Clopper-Pearson upper bound of its risk, with errors and images divided by the design effect of the
    groups, is at most the target. The search stops at the first failure after a pass; the last pass counts.
    All looks together break a promise with probability `delta`: each is tested at the smaller level of
    `find_level`.

    `target_risk: auto` is the strictest rung of the ladder that accepts a useful share, else the one that
    accepts most. At one confidence several rungs cost nothing: passing one that is false implies passing
    every looser false one, so that only the loosest counts. The level is the smallest of the rungs' own.
    `confidence` (n,) is calibrated, of held-out images of known classes.
    """
    kept = ~np.asarray(called_unknown, dtype=bool)
    looks = _take_looks(
        np.asarray(confidence)[kept], ~np.asarray(correct, bool)[kept], np.asarray(groups)[kept]
    )
    sizes = np.array([look.effective_size for look in looks])
    level = min(find_level(sizes, target, settings.delta) for target in RUNGS)
    ladder = [_climb(looks, level, target, len(kept)) for target in RUNGS]
    if settings.target_risk == "auto":
        rung = _choose(ladder)
    else:  # one promise alone is tested at a level of its own, and stands in the ladder as it is
        level = find_level(sizes, settings.target_risk, settings.delta)
        rung = _climb(looks, level, settings.target_risk, len(kept))
        others = [each for each in ladder if each.target_risk != rung.target_risk]
        ladder = sorted([*others, rung], key=lambda each: each.target_risk)
    told = next((look for look in looks if look.value == rung.value), looks[-1] if looks else None)
    return ReviewThreshold(
        value=rung.value,
        attainable=rung.attainable,
        target_risk=rung.target_risk,
        delta=settings.delta,
        coverage=rung.coverage,
        risk=rung.risk,
        risk_bound=rung.risk_bound,
        num_images=len(kept),
        num_groups=len(np.unique(groups)),
        design_effect=told.design_effect if told else 1.0,
        found=settings.target_risk == "auto",
        ladder=tuple(ladder),
        num_needed=None
        if rung.attainable
        else _count_needed(looks, rung.target_risk, settings.delta, len(kept)),
    )


def _climb(looks: list[Look], level: float, target: float, num_images: int) -> RiskRung:
    """What one promise gives: the last look that keeps it, or nothing."""
    chosen = _last_pass(looks, level, target)
    told = chosen or (looks[-1] if looks else None)
    return RiskRung(
        target_risk=target,
        attainable=chosen is not None,
        value=chosen.value if chosen else UNATTAINABLE,
        coverage=chosen.num_accepted / num_images if chosen else 0.0,
        risk=chosen.risk if chosen else np.nan,
        risk_bound=bound_risk(told, level) if told else 1.0,
    )


def _choose(ladder: list[RiskRung]) -> RiskRung:
    """The strictest rung that accepts a useful share, else the one that accepts most, else the last."""
    useful = [rung for rung in ladder if rung.coverage >= USEFUL_COVERAGE]
    if useful:
        return useful[0]
    most = max(rung.coverage for rung in ladder)
    return next(rung for rung in ladder if rung.coverage == most) if most > 0 else ladder[-1]


def _count_needed(looks: list[Look], target: float, delta: float, num_images: int) -> int | None:
    """Images, with errors and groups as seen, that would carry the promise, rounded up to two digits.

    None if not even `MOST_TIMES` as many would.
    """

    def passes(times: float) -> bool:
        more = [replace(look, effective_size=times * look.effective_size) for look in looks]
        level = find_level(np.array([look.effective_size for look in more]), target, delta)
        return _last_pass(more, level, target) is not None

    if not looks or not passes(MOST_TIMES):
        return None
    low, high = 1.0, MOST_TIMES
    while high / low > 1.02:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if passes(middle) else (middle, high)
    needed = 1.15 * num_images * high  # the same errors need not fall at the same confidences
    digit = 10 ** max(0, math.floor(math.log10(needed)) - 1)
    return int(math.ceil(needed / digit) * digit)


def bound_risk(look: Look, level: float) -> float:
    """Clopper-Pearson upper bound of the risk at confidence 1 - `level`, on effective counts."""
    from scipy.stats import beta

    errors, size = look.effective_errors, look.effective_size
    return float(beta.ppf(1.0 - level, errors + 1.0, size - errors)) if errors < size else 1.0


def find_level(sizes: FloatArray, target: float, delta: float) -> float:
    """Level at which each look is tested, so that all together err with probability `delta` at most.

    A look passes at level a exactly where P(Bin(size, target) <= errors) <= a. If the risk were just the
    target at every look, the least of these probabilities over nested looks of the given effective `sizes`
    (ascending) has a distribution that is simulated here, from a fixed seed; its delta-quantile is the level
    (the min-p method, Westfall & Young 1993). A risk that rises with coverage breaks the promise no more
    often: a pass is harmless before it crosses the target, and after that one failure ends the search.
    """
    if not len(sizes):
        return delta
    whole = np.maximum.accumulate(np.floor(sizes)).astype(np.int64)
    fresh = np.diff(np.concatenate([[0], whole]))
    rng = np.random.default_rng(PATH_SEED)
    errors = rng.binomial(fresh, target, size=(NUM_PATHS, len(fresh))).cumsum(axis=1)
    table = _tail(np.arange(errors.max() + 1)[:, None], whole, target)  # (errors, looks): few distinct values
    least = np.sort(table[errors, np.arange(len(whole))].min(axis=1))
    first_too_many = least[int(np.floor(delta * NUM_PATHS))]
    return float(min(delta, np.nextafter(first_too_many, 0.0)))


def _take_looks(confidence: FloatArray, wrong: BoolArray, groups: NDArray[Any]) -> list[Look]:
    if not len(confidence):
        return []
    ranked = np.sort(confidence)[::-1]
    overall = intraclass_correlation(wrong, groups)
    looks = []
    for value in np.unique(ranked[np.ceil(COVERAGES * len(ranked) - 1e-9).astype(int) - 1])[::-1]:
        accepted = confidence >= value
        effect = _effect(wrong[accepted], groups[accepted], overall)
        num = int(accepted.sum())
        risk = float(wrong[accepted].mean())
        looks.append(Look(float(value), num, risk, num / effect, effect))
    return looks


def _effect(wrong: BoolArray, groups: NDArray[Any], overall: float) -> float:
    """Design effect by the larger of two correlations: among the accepted, and among all.

    Few errors tell little about how errors cluster, and none tells nothing: counting images as independent
    then broke the promise in up to 40% of simulated sets of triples. What neither tells is taken as 1.
    """
    correlations = [c for c in (intraclass_correlation(wrong, groups), overall) if not np.isnan(c)]
    worst = max(0.0, *correlations) if correlations else 1.0
    everyone_alike = design_effect(np.zeros(len(groups)), groups, fallback=1.0)
    return 1.0 + (everyone_alike - 1.0) * worst


def _last_pass(looks: list[Look], level: float, target: float) -> Look | None:
    chosen = None
    for look in looks:
        passed = bool(_tail(np.array(look.effective_errors), np.array(look.effective_size), target) <= level)
        if chosen is not None and not passed:
            break
        chosen = look if passed else chosen
    return chosen


def _tail(errors: NDArray[Any], sizes: NDArray[Any], target: float) -> FloatArray:
    """P(Bin(size, target) <= errors), also between whole numbers; 1 where all are wrong or there is none."""
    some_right = np.maximum(sizes - errors, 1e-9)
    probs: FloatArray = np.where(sizes > errors, betainc(some_right, errors + 1.0, 1.0 - target), 1.0)
    return probs

"""Fits the unknown threshold, with a promise that also holds where images come in groups."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vision.base.errors import DataError, TooFewImagesError
from vision.base.record import FloatArray
from vision.base.resampling import design_effect
from vision.config.decision import UnknownSettings
from vision.decision.records import AlphaRung, UnknownThreshold

ALPHAS = (0.05, 0.1, 0.2)
"""The ladder of promises, the strictest first."""

USEFUL_SHARE = 1 / 3
"""Share of a promised alpha that a rung should make use of: above nearly every known score few unknowns are
found."""


def fit_threshold(
    scores: FloatArray, groups: NDArray[np.str_], settings: UnknownSettings
) -> UnknownThreshold:
    """The threshold above which at most `alpha` of known images lie, but for a probability `delta`.

    n_eff = ⌊n / deff⌋ with deff = 1 + (Σs_g²/Σs_g - 1) max(0, ICC), the ICC of e = 1[s > its (1 - a)
    quantile] and the largest over the a of the ladder, so that what is attainable at one alpha is so at every
    larger one. The threshold is the (⌊n m / n_eff⌋ + 1)-th largest score, m the largest number with
    P(Binomial(n_eff, alpha) <= m) <= delta. (Order statistic of a tolerance limit, Wilks 1941, counted in
    effective images; the plain quantile broke its promise in 45% of grouped resplits, this rule in 2%.)

    `alpha: auto` is the strictest rung of the ladder whose m is at least a third of alpha n_eff; else the
    strictest attainable one. m depends on the number of images and on how groups agree, not on how large
    scores are, so that choosing costs nothing. Where no m exists the promise is not attainable: the record
    says so and names the smallest alpha that is; its value is then the largest score, and what lies above
    goes to a person. `scores` (n,) are of held-out known images; the score's name in the settings is kept in
    the record.

    Raises:
        DataError: scores and groups differ in length, or a score is not finite.
        TooFewImagesError: there is no score.
    """
    values = _check_scores(scores, groups)
    num_images, delta = len(values), settings.delta
    effect = max(design_effect(values > np.quantile(values, 1 - each), groups) for each in ALPHAS)
    effective = max(1, int(num_images / effect + 1e-9))
    ascending = np.sort(values)

    def rung(alpha: float) -> AlphaRung:
        allowed = _count_allowed(effective, alpha, delta)
        value = float(ascending[num_images - 1 - num_images * max(allowed, 0) // effective])
        share = float(np.mean(values > value))
        return AlphaRung(alpha=alpha, attainable=allowed >= 0, value=value, share=share)

    ladder = tuple(rung(alpha) for alpha in ALPHAS)
    chosen = _choose(ladder) if settings.alpha == "auto" else rung(settings.alpha)
    return UnknownThreshold(
        score_name=settings.score,
        value=chosen.value,
        attainable=chosen.attainable,
        alpha=chosen.alpha,
        delta=delta,
        num_images=num_images,
        num_groups=len(np.unique(groups)),
        design_effect=effect,
        effective_size=float(effective),
        num_allowed=int(np.count_nonzero(values > chosen.value)),
        attainable_alpha=_smallest_alpha(effective, delta),
        calibration_scores=tuple(ascending.tolist()),
        found=settings.alpha == "auto",
        ladder=ladder,
    )


def _choose(ladder: tuple[AlphaRung, ...]) -> AlphaRung:
    """The strictest useful rung, else the strictest attainable, else the last."""
    useful = [rung for rung in ladder if rung.attainable and rung.share >= USEFUL_SHARE * rung.alpha]
    attainable = [rung for rung in ladder if rung.attainable]
    return (useful or attainable or ladder[-1:])[0]


def fit_stranger_threshold(
    scores: FloatArray, groups: NDArray[np.str_], settings: UnknownSettings
) -> UnknownThreshold:
    """The stranger score above which an image is a stranger, by the rule of the unknown threshold.

    Where `stranger_alpha` cannot be promised the threshold is the largest score, and it is used all the same:
    of new known images a share of 1 / (n + 1) is expected above it.
    """
    own = settings.model_copy(update={"alpha": settings.stranger_alpha})
    fitted = fit_threshold(scores, groups, own)
    return fitted.model_copy(update={"score_name": "stranger", "calibration_scores": (), "ladder": ()})


def fewest_for_threshold(alpha: float, delta: float) -> int:
    """Fewest held-out images, none of another's group, with which the promise is attainable."""
    in_theory = math.ceil(math.log(delta) / math.log1p(-alpha) - 1e-9)
    for_p_values = math.ceil(1 / alpha - 1e-9) - 1  # one rank of n + 1 must not pass alpha
    return max(in_theory, for_p_values, 1)


def _count_allowed(num_images: int, alpha: float, delta: float) -> int:
    """Largest m with P(Binomial(num_images, alpha) <= m) <= delta; -1 where even m = 0 is too many.

    A delta so large that the (m + 1)-th of n + 1 ranks would pass alpha is not made use of: what is called
    unknown always has a p-value of at most alpha.
    """
    from scipy.stats import binom

    m = int(np.searchsorted(binom.cdf(np.arange(num_images), num_images, alpha), delta, side="right")) - 1
    return min(m, int(alpha * (num_images + 1) + 1e-9) - 1)


def _smallest_alpha(num_images: int, delta: float) -> float:
    """Smallest alpha that `num_images` independent images can promise: that of m = 0."""
    return max(float(-np.expm1(np.log(delta) / num_images)), 1 / (num_images + 1))


def _check_scores(scores: FloatArray, groups: NDArray[np.str_]) -> FloatArray:
    """The scores as float64, in their own order, if a threshold can be told from them."""
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or values.shape != np.shape(groups):
        raise DataError(
            f"Scores have shape {values.shape} and groups {np.shape(groups)}; expected one group per score."
        )
    if len(values) == 0:
        raise TooFewImagesError(
            "There is no held-out image of a known class; expected at least one. Add images, or give the "
            "calibration split a larger share in split.calibration."
        )
    if not np.isfinite(values).all():
        raise DataError(
            f"{np.count_nonzero(~np.isfinite(values))} of {len(values)} held-out scores are not finite; "
            "expected numbers. Look at the network's outputs."
        )
    return values

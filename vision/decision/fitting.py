"""A detector learns from known images alone: training images give the shapes, validation images the scales.

`fit_detector` prepares the arrays of every score in `vision.decision.scores`, so that one detector can report
them all; `fit_threshold` turns calibration scores into a threshold that keeps its promise when images come
in groups. n is images, k classes, d the embedding's width, q quality columns.

Covariances are shrunk (Ledoit & Wolf 2004), because embeddings are often wider than the data is long; and no
direction is whitened by more than a thousand times the strongest, so that a unit that never fires on
training images does not decide alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.base.errors import DataError, TooFewImagesError, TrainingError
from vision.base.outputs import ModelOutputs
from vision.base.record import FloatArray, IntArray
from vision.base.resampling import design_effect
from vision.config.decision import UnknownSettings
from vision.decision.records import OodDetector, UnknownThreshold
from vision.decision.scores import COMBINATIONS, OodScore, measure_capture, normalise, stack_parts

MAX_BANK_ROWS = 2000
"""Most training embeddings that the kNN bank keeps: 1,000 were measured to do as well as 20,000."""

PRINCIPAL_VARIANCE = 0.9
"""Share of variance in ViM's principal subspace."""

CAPTURE_QUANTILE = 0.995
"""Share of known images that the capture term leaves alone."""

CAPTURE_RIDGE = 0.1
"""Added to every direction's variance (in column spreads): a combination of columns that known images never
show must be off by a third of a spread to count, so that a little sensor noise or blur does not."""

QUALITY_SCALE_FLOOR = 0.01
SPREAD_FLOOR = 1e-3
EIGENVALUE_FLOOR = 1e-6

_Arrays = dict[str, NDArray[Any]]


def fit_detector(
    train: ModelOutputs,
    train_labels: IntArray,
    train_groups: NDArray[np.str_],
    validation: ModelOutputs,
    score: str,
    seed: int,
) -> OodDetector:
    """A detector with the arrays of every score, of which `score` decides.

    Args:
        train: training images of known classes, (n,) of everything.
        train_labels: (n,) label index.
        train_groups: (n,) group names; a bank that is full holds as many groups as it can.
        validation: known images that were not trained on; they scale the parts of `ewk` and
            `fwk`.
        score: a member of `OodScore`.
        seed: chooses the rows of the kNN bank where there are too many.

    Raises:
        DataError: shapes or labels do not fit together.
        TooFewImagesError: a class has no training image, or there are fewer than two classes or two
            validation images.
        TrainingError: an output is not finite.
    """
    name = OodScore(score)
    _check_outputs(train, train_labels, train_groups, validation)
    embeddings = np.asarray(train.embeddings, dtype=np.float64)
    arrays: _Arrays = {"embedding_mean": embeddings.mean(axis=0).astype(np.float32)}
    arrays |= _fit_fdbd(train, arrays["embedding_mean"])
    arrays |= _fit_mahalanobis(embeddings, train_labels, arrays["embedding_mean"])
    arrays |= _fit_vim(train, embeddings)
    arrays |= _fit_prototypes(embeddings, train_labels)
    rows = _choose_bank(train_labels, train_groups, MAX_BANK_ROWS, np.random.default_rng(seed))
    arrays["bank"] = normalise(embeddings[rows]).astype(np.float32)
    arrays |= _fit_capture(np.concatenate([train.quality, validation.quality]))
    arrays |= _fit_scales(OodDetector(name, arrays), validation)
    return OodDetector(score_name=name.value, arrays=arrays)


def fit_threshold(
    scores: FloatArray, groups: NDArray[np.str_], settings: UnknownSettings
) -> UnknownThreshold:
    """The threshold above which at most `alpha` of known images lie, but for a probability `delta`.

    With e = 1[s > its (1 - alpha) quantile], deff = 1 + (Σs_g²/Σs_g - 1) max(0, ICC of e) and
    n_eff = ⌊n / deff⌋, it is the (⌊n m / n_eff⌋ + 1)-th largest score, m the largest number with
    P(Binomial(n_eff, alpha) <= m) <= delta. (Order statistic of a tolerance limit, Wilks 1941, counted in
    effective images; the plain quantile broke its promise in 45% of grouped resplits, this rule in 2%.)

    Where no m exists the promise is not attainable: the record says so and names the smallest alpha that is,
    1 - delta^(1 / n_eff); its value is then the largest score, and what lies above goes to a person.

    Args:
        scores: (n,) unknown scores of known calibration images.
        groups: (n,) group names.
        settings: alpha and delta; the score's name is kept in the record.

    Raises:
        DataError: scores and groups differ in length, or a score is not finite.
        TooFewImagesError: there is no score.
    """
    values = _check_scores(scores, groups)
    num_images, alpha, delta = len(values), settings.alpha, settings.delta
    effect = design_effect(values > np.quantile(values, 1 - alpha), groups)
    effective = max(1, int(num_images / effect + 1e-9))
    allowed = _count_allowed(effective, alpha, delta)
    position = num_images * max(allowed, 0) // effective
    ascending = np.sort(values)
    value = ascending[num_images - 1 - position]
    return UnknownThreshold(
        score_name=settings.score,
        value=float(value),
        attainable=allowed >= 0,
        alpha=alpha,
        delta=delta,
        num_images=num_images,
        num_groups=len(np.unique(groups)),
        design_effect=effect,
        effective_size=float(effective),
        num_allowed=int(np.count_nonzero(ascending > value)),
        attainable_alpha=_smallest_alpha(effective, delta),
        calibration_scores=tuple(ascending.tolist()),
    )


def fewest_for_threshold(settings: UnknownSettings) -> int:
    """Fewest calibration images, none of another's group, with which the promise is attainable."""
    in_theory = math.ceil(math.log(settings.delta) / math.log1p(-settings.alpha) - 1e-9)
    for_p_values = math.ceil(1 / settings.alpha - 1e-9) - 1  # one rank of n + 1 must not pass alpha
    return max(in_theory, for_p_values, 1)


# --- the threshold --------------------------------------------------------------------------------------


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
            "There is no known calibration image; expected at least one. Give the calibration split a larger "
            "share in split.calibration."
        )
    if not np.isfinite(values).all():
        raise DataError(
            f"{np.count_nonzero(~np.isfinite(values))} of {len(values)} calibration scores are not finite; "
            "expected numbers. Look at the network's outputs on the calibration split."
        )
    return values


# --- arrays of the scores -------------------------------------------------------------------------------


def _fit_fdbd(train: ModelOutputs, centre: FloatArray) -> _Arrays:
    centred = np.asarray(train.embeddings, dtype=np.float64) - centre
    spread = centred.std(axis=0)
    varies = spread > SPREAD_FLOOR * max(float(spread.max()), np.finfo(np.float64).tiny)
    inverse_spread = np.where(varies, 1 / np.where(varies, spread, 1.0), 0.0)
    kernel = np.asarray(train.kernel, dtype=np.float64) * np.where(varies, spread, 0.0)[:, None]
    distances = np.linalg.norm(kernel.T[:, None, :] - kernel.T[None, :, :], axis=2)
    known = distances > EIGENVALUE_FLOOR * max(float(distances.max()), np.finfo(np.float64).tiny)
    typical = float(np.sqrt(np.square(centred * inverse_spread).sum(axis=1).mean()))
    return {
        "fdbd_inverse_distances": np.where(known, 1 / np.where(known, distances, 1.0), 0.0),
        "fdbd_inverse_spread": inverse_spread.astype(np.float32),
        "fdbd_norm_floor": np.array(EIGENVALUE_FLOOR * typical if typical > 0 else 1.0),
    }


def _fit_mahalanobis(embeddings: FloatArray, labels: IntArray, centre: FloatArray) -> _Arrays:
    centred = embeddings - centre
    means = _class_means(centred, labels)
    whitener = _fit_whitener(centred - means[labels])
    return {
        "mahalanobis_whitener": whitener.astype(np.float32),
        "mahalanobis_means": (means @ whitener).astype(np.float32),
    }


def _fit_prototypes(embeddings: FloatArray, labels: IntArray) -> _Arrays:
    unit = normalise(embeddings)
    centre, means = unit.mean(axis=0), _class_means(unit, labels)
    whitener = _fit_whitener(unit - means[labels])
    return {
        "prototype_centre": centre.astype(np.float32),
        "prototype_whitener": whitener.astype(np.float32),
        "prototypes": normalise((means - centre) @ whitener).astype(np.float32),
    }


def _fit_vim(train: ModelOutputs, embeddings: FloatArray) -> _Arrays:
    kernel, bias = np.asarray(train.kernel, dtype=np.float64), np.asarray(train.bias, dtype=np.float64)
    origin = -np.linalg.pinv(kernel.T) @ bias
    centred = embeddings - origin
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    shares = np.cumsum(values[::-1]) / max(float(values.sum()), np.finfo(np.float64).tiny)
    rank = int(np.searchsorted(shares, PRINCIPAL_VARIANCE)) + 1
    basis = vectors[:, ::-1][:, :rank]
    residuals = np.linalg.norm(centred - (centred @ basis) @ basis.T, axis=1)
    mean_residual = float(residuals.mean())
    mean_logit = float(np.abs(train.logits.max(axis=1).astype(np.float64).mean()))
    flat = mean_residual <= EIGENVALUE_FLOOR * float(np.linalg.norm(centred, axis=1).mean())
    return {
        "vim_origin": origin.astype(np.float32),
        "vim_basis": basis.astype(np.float32),
        "vim_scale": np.array(0.0 if flat else mean_logit / mean_residual),
    }


def _choose_bank(labels: IntArray, groups: NDArray[np.str_], most: int, rng: np.random.Generator) -> IntArray:
    """Rows of the kNN bank, ascending: all, or `most` spread evenly over classes, then over groups."""
    order = rng.permutation(len(labels))
    rank_in_group = _count_earlier(np.array([f"{y}/{g}" for y, g in zip(labels, groups, strict=True)])[order])
    order = order[np.argsort(rank_in_group, kind="stable")]
    rank_in_class = _count_earlier(labels[order])
    return np.sort(order[np.argsort(rank_in_class, kind="stable")][:most])


def _count_earlier(names: NDArray[Any]) -> IntArray:
    """How many earlier entries have the same name, (n,)."""
    order = np.argsort(names, kind="stable")
    _, starts, counts = np.unique(names[order], return_index=True, return_counts=True)
    ranks = np.empty(len(names), dtype=np.int64)
    ranks[order] = np.arange(len(names)) - np.repeat(starts, counts)
    return ranks


def _fit_capture(quality: FloatArray) -> _Arrays:
    """Centre, whitener and limit of the capture term, in units of its own spread over known images.

    The Mahalanobis length of the quality columns is divided by its standard deviation, so that its excess
    over the limit adds to z-scores like with like. Quality does not depend on the network, so training
    images serve as well as validation images.
    """
    values = np.asarray(quality, dtype=np.float64)
    centre = np.median(values, axis=0)
    scale = np.maximum(values.std(axis=0), QUALITY_SCALE_FLOOR)
    whitener = _fit_whitener((values - centre) / scale, CAPTURE_RIDGE) / scale[:, None]
    lengths = measure_capture(values, centre, whitener)
    whitener = whitener / max(float(lengths.std()), QUALITY_SCALE_FLOOR)
    limit = np.quantile(measure_capture(values, centre, whitener), CAPTURE_QUANTILE)
    return {"capture_centre": centre, "capture_whitener": whitener, "capture_limit": np.array(limit)}


def _fit_scales(detector: OodDetector, validation: ModelOutputs) -> _Arrays:
    arrays: _Arrays = {}
    for name in COMBINATIONS:
        parts = stack_parts(detector, name, validation.logits, validation.embeddings)
        spread = parts.std(axis=0)
        location = parts.mean(axis=0)
        constant = spread <= 1e-9 * (1 + np.abs(location))
        arrays |= {f"{name}_location": location, f"{name}_scale": np.where(constant, 1.0, spread)}
    return arrays


def _class_means(rows: FloatArray, labels: IntArray) -> FloatArray:
    return np.stack([rows[labels == label].mean(axis=0) for label in range(int(labels.max()) + 1)])


def _fit_whitener(residuals: FloatArray, ridge: float = 0.0) -> FloatArray:
    """(S + ridge)^-1/2, (d, d), of residuals (n, d) around zero; the identity where S + ridge is zero."""
    from sklearn.covariance import ledoit_wolf

    covariance, _ = ledoit_wolf(residuals, assume_centered=True)
    values, vectors = np.linalg.eigh(covariance)
    values = values + ridge
    largest = float(values[-1])
    if largest <= np.finfo(np.float64).tiny:
        return np.eye(residuals.shape[1])
    floored = np.maximum(values, EIGENVALUE_FLOOR * largest)
    return np.asarray((vectors / np.sqrt(floored)) @ vectors.T)


# --- checks ---------------------------------------------------------------------------------------------


def _check_outputs(
    train: ModelOutputs, labels: IntArray, groups: NDArray[np.str_], validation: ModelOutputs
) -> None:
    num, num_classes = train.logits.shape
    if not len(labels) == len(groups) == num == len(train.embeddings):
        raise DataError(
            f"{num} training outputs come with {len(labels)} labels and {len(groups)} groups; expected one "
            "of each per image."
        )
    if num_classes < 2 or len(validation.logits) < 2:
        raise TooFewImagesError(
            f"{num_classes} classes and {len(validation.logits)} validation images; expected at least two of "
            "each. Add classes, or give the validation split a larger share in split.validation."
        )
    counts = np.bincount(labels, minlength=num_classes) if num and labels.min() >= 0 else np.zeros(1)
    if len(counts) != num_classes or not counts.all():
        raise TooFewImagesError(
            f"Training images per label are {counts.astype(int).tolist()}; expected at least one of each of "
            f"{num_classes} known classes and no other label. Fit on known training images of all classes."
        )
    for split, outputs in (("training", train), ("validation", validation)):
        _check_finite(split, outputs)


def _check_finite(split: str, outputs: ModelOutputs) -> None:
    for what in ("logits", "embeddings", "quality", "kernel", "bias"):
        values = getattr(outputs, what)
        if not np.isfinite(values).all():
            raise TrainingError(
                f"{np.count_nonzero(~np.isfinite(values))} values of the {split} {what} are not finite; "
                "expected numbers. The training diverged: lower training.candidates.*.learning_rate."
            )

"""How good a model is, and how sure of it one may be: figures and their intervals over whole groups.

`labels` and `predictions` are (n,) class indices, `logits` (n, k) before softmax, `probs` (n, k),
`confidence` the largest of `probs`, `correct` (n,) booleans, `groups` (n,) names of what was photographed
together. Unknown is the positive class and a higher score is more unknown. What cannot be told is NaN, never
a made-up number. NumPy alone: the service reaches this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vision.config import BootstrapSettings
from vision.errors import DataError
from vision.records import FloatArray, IntArray, Interval, ReliabilityBin

NUM_BINS = 15
MAX_ROC_POINTS = 201
MAX_CELLS = 4_000_000
"""Largest number of array cells that one block of resamples holds (32 MB of float64)."""

BoolArray = NDArray[np.bool_]


# --- probabilities --------------------------------------------------------------------------------------


def log_softmax(logits: FloatArray, temperature: float = 1.0) -> FloatArray:
    """Log-probabilities (n, k) float64 of logits divided by `temperature` > 0; stable for large logits."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    shifted = scaled - scaled.max(axis=-1, keepdims=True)
    log_probs: FloatArray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return log_probs


def softmax(logits: FloatArray, temperature: float = 1.0) -> FloatArray:
    """Probabilities (n, k) float64 of logits divided by `temperature` > 0."""
    probs: FloatArray = np.exp(log_softmax(logits, temperature))
    return probs


def nll_per_image(logits: FloatArray, labels: IntArray, temperature: float = 1.0) -> FloatArray:
    """Negative log-likelihood of the true class of each image, (n,) nats."""
    losses: FloatArray = -log_softmax(logits, temperature)[np.arange(len(labels)), labels]
    return losses


def nll(logits: FloatArray, labels: IntArray, temperature: float = 1.0) -> float:
    """Mean negative log-likelihood in nats.

    Raises:
        DataError: there is no image.
    """
    _require_images(len(labels), "NLL")
    return float(nll_per_image(logits, labels, temperature).mean())


def brier_per_image(probs: FloatArray, labels: IntArray) -> FloatArray:
    """Squared distance (n,) between the probabilities and the one-hot truth, summed over classes: 0 to 2."""
    one_hot = np.eye(probs.shape[1])[labels]
    distances: FloatArray = ((probs - one_hot) ** 2).sum(axis=1)
    return distances


# --- classes --------------------------------------------------------------------------------------------


def confusion_matrix(labels: IntArray, predictions: IntArray, num_classes: int) -> IntArray:
    """Images by true class (rows) and predicted class (columns), (k, k)."""
    cells = np.asarray(labels) * num_classes + np.asarray(predictions)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """What precision, recall and F1 are made of; each array is (..., k), leading axes are resamples.

    Attributes:
        hits: images of the class that are predicted as it.
        predicted: images that are predicted as the class.
        support: images of the class.
    """

    hits: FloatArray
    predicted: FloatArray
    support: FloatArray

    def precision(self) -> FloatArray:
        """Share of hits among what is predicted as the class, (..., k); NaN where nothing is."""
        return _divide(self.hits, self.predicted)

    def recall(self) -> FloatArray:
        """Share of hits among the class's images, (..., k); NaN where it has none."""
        return _divide(self.hits, self.support)

    def f1(self) -> FloatArray:
        """Harmonic mean of precision and recall, (..., k): 2 hits / (predicted + support); NaN where 0/0."""
        return _divide(2 * self.hits, self.predicted + self.support)

    def macro_f1(self) -> FloatArray:
        """Mean F1 (...,) over the classes that occur in the truth or among the predictions."""
        f1 = self.f1()
        return _divide(np.nansum(f1, axis=-1), np.isfinite(f1).sum(axis=-1))

    def weighted_f1(self) -> FloatArray:
        """Mean F1 (...,) weighted by the number of images of each class."""
        weighted = np.where(self.support > 0, self.f1(), 0.0) * self.support
        return _divide(weighted.sum(axis=-1), self.support.sum(axis=-1))


def class_indicators(labels: IntArray, predictions: IntArray, num_classes: int) -> FloatArray:
    """Hits, predicted and support of every single image, (n, 3k): their sums make `ClassCounts`."""
    truth = np.eye(num_classes)[labels]
    predicted = np.eye(num_classes)[predictions]
    return np.hstack([truth * predicted, predicted, truth])


def class_counts(sums: FloatArray) -> ClassCounts:
    """`ClassCounts` of summed `class_indicators`, (..., 3k)."""
    hits, predicted, support = np.split(sums, 3, axis=-1)
    return ClassCounts(hits=hits, predicted=predicted, support=support)


# --- calibration ----------------------------------------------------------------------------------------


def bin_confidence(confidence: FloatArray, num_bins: int = NUM_BINS) -> IntArray:
    """Equal-width bin (n,) of each confidence: [0, 1/15), ..., [14/15, 1]; the last is closed at 1."""
    inner_edges = np.arange(1, num_bins) / num_bins
    return np.searchsorted(inner_edges, confidence, side="right")


def ece(confidence: FloatArray, correct: BoolArray, num_bins: int = NUM_BINS) -> float:
    """Expected calibration error over equal-width bins: sum of |accuracy - confidence| n_bin / n.

    Guo et al. 2017.

    Raises:
        DataError: there is no image.
    """
    _require_images(len(confidence), "ECE")
    return _binned_gap(np.asarray(confidence), correct, bin_confidence(confidence, num_bins))


def adaptive_ece(confidence: FloatArray, correct: BoolArray, num_bins: int = NUM_BINS) -> float:
    """ECE over bins of equal mass (Nguyen & O'Connor 2015); equal confidences share a bin.

    Raises:
        DataError: there is no image.
    """
    _require_images(len(confidence), "Adaptive ECE")
    inner_edges = np.quantile(confidence, np.arange(1, num_bins) / num_bins)
    bins = np.searchsorted(inner_edges, confidence, side="right")
    return _binned_gap(np.asarray(confidence), correct, bins)


def ece_floor(
    confidence: FloatArray,
    rng: np.random.Generator,
    *,
    num_bins: int = NUM_BINS,
    num_draws: int = 1000,
    quantile: float = 0.95,
) -> float:
    """ECE that a perfectly calibrated model with these confidences stays below in 95% of samples this large.

    Each draw makes image i correct with probability `confidence[i]`, independently; images in groups make the
    true floor somewhat higher.

    Raises:
        DataError: there is no image.
    """
    num = len(confidence)
    _require_images(num, "The ECE floor")
    in_bin = np.eye(num_bins)[bin_confidence(confidence, num_bins)]
    errors = []
    for block in _blocks(num_draws, num):
        correct = rng.random((block.stop - block.start, num)) < confidence
        errors.append(np.abs((confidence - correct) @ in_bin).sum(axis=1) / num)
    return float(np.quantile(np.concatenate(errors), quantile))


def reliability_bins(
    confidence: FloatArray, correct: BoolArray, num_bins: int = NUM_BINS
) -> tuple[ReliabilityBin, ...]:
    """Mean confidence and accuracy in each equal-width bin; NaN where a bin is empty."""
    bins = bin_confidence(confidence, num_bins)
    sizes = np.bincount(bins, minlength=num_bins)
    mean_confidence = _divide(np.bincount(bins, weights=confidence, minlength=num_bins), sizes)
    accuracy = _divide(np.bincount(bins, weights=np.asarray(correct, float), minlength=num_bins), sizes)
    return tuple(
        ReliabilityBin(
            low=i / num_bins,
            high=(i + 1) / num_bins,
            num_images=int(sizes[i]),
            confidence=float(mean_confidence[i]),
            accuracy=float(accuracy[i]),
        )
        for i in range(num_bins)
    )


# --- unknowns -------------------------------------------------------------------------------------------


def auroc(scores_known: FloatArray, scores_unknown: FloatArray) -> float:
    """Probability that an unknown image scores higher than a known one, a tie counting half.

    Raises:
        DataError: one side has no image, or a score is NaN.
    """
    _require_both_sides(scores_known, scores_unknown, "AUROC")
    ranked = np.sort(scores_known)
    below = np.searchsorted(ranked, scores_unknown, side="left")
    not_above = np.searchsorted(ranked, scores_unknown, side="right")
    return float((below + not_above).mean() / 2 / len(ranked))


def fpr_at_95_tpr(scores_known: FloatArray, scores_unknown: FloatArray) -> float:
    """Share of known images called unknown where 95% of the unknown ones are found.

    The threshold is the ⌈0.95 m⌉-th largest of the m unknown scores; what lies at or above it is called
    unknown.

    Raises:
        DataError: one side has no image, or a score is NaN.
    """
    _require_both_sides(scores_known, scores_unknown, "FPR@95TPR")
    num_found = int(np.ceil(0.95 * len(scores_unknown) - 1e-9))
    threshold = np.sort(scores_unknown)[len(scores_unknown) - num_found]
    return float(np.mean(np.asarray(scores_known) >= threshold))


def roc_curve(scores_known: FloatArray, scores_unknown: FloatArray) -> tuple[FloatArray, FloatArray]:
    """False and true positive rates, each (p,) with p <= 201, from (0, 0) to (1, 1); unknown is positive.

    A longer curve is thinned to points evenly spaced along it.

    Raises:
        DataError: one side has no image, or a score is NaN.
    """
    _require_both_sides(scores_known, scores_unknown, "ROC")
    thresholds = np.unique(np.concatenate([scores_known, scores_unknown]))[::-1]
    rates = []
    for scores in (scores_known, scores_unknown):
        below = np.searchsorted(np.sort(scores), thresholds, side="left")
        rates.append(np.concatenate([[0.0], 1.0 - below / len(scores)]))
    length = rates[0] + rates[1]
    if len(length) > MAX_ROC_POINTS:
        keep = np.unique(
            np.searchsorted(length, np.linspace(0.0, 2.0, MAX_ROC_POINTS)).clip(max=len(length) - 1)
        )
        return rates[0][keep], rates[1][keep]
    return rates[0], rates[1]


# --- intervals ------------------------------------------------------------------------------------------


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
            [self.counts[block] @ per_group for block in _blocks(len(self.counts), self.num_groups)]
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


def percentile_interval(value: float, samples: FloatArray, level: float) -> Interval:
    """`value` with the central `level` of `samples` (r,), NaNs left out; bounds are NaN without any."""
    finite = np.asarray(samples)[np.isfinite(samples)]
    if not len(finite):
        return Interval(value=value, low=np.nan, high=np.nan)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(finite, [tail, 1.0 - tail])
    return Interval(value=value, low=float(low), high=float(high))


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


def auroc_samples(
    scores_known: FloatArray,
    drawn_known: GroupResamples,
    scores_unknown: FloatArray,
    drawn_unknown: GroupResamples,
    strata: IntArray,
) -> FloatArray:
    """AUROC of every resample, for each stratum of the unknown images and, last, for all of them together.

    Args:
        scores_known: (n,).
        drawn_known: resamples of the known images.
        scores_unknown: (m,).
        drawn_unknown: as many resamples of the unknown images.
        strata: (m,) index 0..s-1 of each unknown image's stratum (its class).

    Returns:
        (resamples, s + 1); NaN where a resample has nothing on one side.
    """
    order = np.argsort(scores_known)
    ranked = np.asarray(scores_known)[order]
    below = np.searchsorted(ranked, scores_unknown, side="left")
    not_above = np.searchsorted(ranked, scores_unknown, side="right")
    in_stratum = np.column_stack([np.eye(int(strata.max()) + 1)[strata], np.ones(len(strata))])
    samples = []
    for block in _blocks(len(drawn_known.counts), len(scores_known) + len(scores_unknown)):
        rising = np.cumsum(drawn_known.counts[block][:, drawn_known.members[order]], axis=1, dtype=np.float64)
        rising = np.hstack([np.zeros((len(rising), 1)), rising])
        drawn = drawn_unknown.counts[block][:, drawn_unknown.members]
        wins = (rising[:, below] + rising[:, not_above]) / 2.0 * drawn
        samples.append(_divide(wins @ in_stratum, drawn @ in_stratum * rising[:, -1:]))
    return np.concatenate(samples)


# --- groups that answer alike ---------------------------------------------------------------------------


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
    _require_images(len(sizes), "The design effect")
    correlation = intraclass_correlation(indicator, groups)
    used = max(0.0, fallback if np.isnan(correlation) else correlation)
    return 1.0 + (float((sizes**2).sum() / sizes.sum()) - 1.0) * used


# --- private --------------------------------------------------------------------------------------------


def _draw_counts(num_groups: int, resamples: int, rng: np.random.Generator) -> IntArray:
    counts = np.zeros((resamples, num_groups), dtype=np.int32)
    for block in _blocks(resamples, num_groups):
        num = block.stop - block.start
        drawn = rng.integers(num_groups, size=(num, num_groups)) + num_groups * np.arange(num)[:, None]
        counts[block] = np.bincount(drawn.ravel(), minlength=num * num_groups).reshape(num, num_groups)
    return counts


def _blocks(num_rows: int, num_columns: int) -> list[slice]:
    """Slices of rows, each at most MAX_CELLS cells (at least one row)."""
    step = max(1, MAX_CELLS // max(1, num_columns))
    return [slice(start, min(start + step, num_rows)) for start in range(0, num_rows, step)]


def _divide(numerator: Any, denominator: Any) -> FloatArray:
    """Quotient; NaN where the denominator is 0."""
    top, bottom = np.broadcast_arrays(
        np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    )
    quotient: FloatArray = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=quotient, where=bottom != 0)
    return quotient


def _binned_gap(confidence: FloatArray, correct: BoolArray, bins: IntArray) -> float:
    gaps = np.bincount(bins, weights=confidence - np.asarray(correct, dtype=np.float64))
    return float(np.abs(gaps).sum() / len(confidence))


def _require_images(num: int, what: str) -> None:
    if num == 0:
        raise DataError(f"{what} was asked for without any image. Expected at least one; check the split.")


def _require_both_sides(scores_known: FloatArray, scores_unknown: FloatArray, what: str) -> None:
    num_known, num_unknown = len(scores_known), len(scores_unknown)
    if num_known == 0 or num_unknown == 0:
        raise DataError(
            f"{what} was asked for with {num_known} known and {num_unknown} unknown images. Expected both "
            "sides; leave the figure out where one is absent."
        )
    if np.isnan(scores_known).any() or np.isnan(scores_unknown).any():
        raise DataError(
            f"{what} was asked for with scores that are NaN. Expected numbers; check the detector."
        )

"""Metrics of a model, and their intervals over whole groups.

`labels` and `predictions` are (n,) class indices, `logits` (n, k) before softmax, `probs` (n, k),
`confidence` the largest of `probs`, `correct` (n,) booleans, `groups` (n,) names of what was photographed
together. Unknown is the positive class and a higher score is more unknown. What cannot be told is NaN, never
a made-up number. NumPy alone: the service reaches this module.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vision.base.errors import DataError
from vision.base.record import FloatArray, IntArray
from vision.base.resampling import BoolArray, GroupResamples, blocks, divide
from vision.base.softmax import require_images
from vision.evaluation.records import ReliabilityBin

NUM_BINS = 15
NUM_DRAWS = 1000
"""Samples that the floor of ECE is found in."""

MAX_ROC_POINTS = 201


def brier_per_image(probs: FloatArray, labels: IntArray) -> FloatArray:
    """Squared distance (n,) between the probabilities and the one-hot truth, summed over classes: 0 to 2."""
    one_hot = np.eye(probs.shape[1])[labels]
    distances: FloatArray = ((probs - one_hot) ** 2).sum(axis=1)
    return distances


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
        return divide(self.hits, self.predicted)

    def recall(self) -> FloatArray:
        """Share of hits among the class's images, (..., k); NaN where it has none."""
        return divide(self.hits, self.support)

    def f1(self) -> FloatArray:
        """Harmonic mean of precision and recall, (..., k): 2 hits / (predicted + support); NaN where 0/0."""
        return divide(2 * self.hits, self.predicted + self.support)

    def macro_f1(self) -> FloatArray:
        """Mean F1 (...,) over the classes that occur in the truth or among the predictions."""
        f1 = self.f1()
        return divide(np.nansum(f1, axis=-1), np.isfinite(f1).sum(axis=-1))

    def weighted_f1(self) -> FloatArray:
        """Mean F1 (...,) weighted by the number of images of each class."""
        weighted = np.where(self.support > 0, self.f1(), 0.0) * self.support
        return divide(weighted.sum(axis=-1), self.support.sum(axis=-1))


def class_indicators(labels: IntArray, predictions: IntArray, num_classes: int) -> FloatArray:
    """Hits, predicted and support of every single image, (n, 3k): their sums make `ClassCounts`."""
    truth = np.eye(num_classes)[labels]
    predicted = np.eye(num_classes)[predictions]
    return np.hstack([truth * predicted, predicted, truth])


def class_counts(sums: FloatArray) -> ClassCounts:
    """`ClassCounts` of summed `class_indicators`, (..., 3k)."""
    hits, predicted, support = np.split(sums, 3, axis=-1)
    return ClassCounts(hits=hits, predicted=predicted, support=support)


def bin_confidence(confidence: FloatArray, num_bins: int = NUM_BINS) -> IntArray:
    """Equal-width bin (n,) of each confidence: [0, 1/15), ..., [14/15, 1]; the last is closed at 1."""
    inner_edges = np.arange(1, num_bins) / num_bins
    return np.searchsorted(inner_edges, confidence, side="right")


def ece(confidence: FloatArray, correct: BoolArray) -> float:
    """Expected calibration error over equal-width bins: sum of |accuracy - confidence| n_bin / n.

    Guo et al. 2017.

    Raises:
        DataError: there is no image.
    """
    require_images(len(confidence), "ECE")
    return _binned_gap(np.asarray(confidence), correct, bin_confidence(confidence))


def adaptive_ece(confidence: FloatArray, correct: BoolArray, num_bins: int = NUM_BINS) -> float:
    """ECE over bins of equal mass (Nguyen & O'Connor 2015); equal confidences share a bin.

    Raises:
        DataError: there is no image.
    """
    require_images(len(confidence), "Adaptive ECE")
    inner_edges = np.quantile(confidence, np.arange(1, num_bins) / num_bins)
    bins = np.searchsorted(inner_edges, confidence, side="right")
    return _binned_gap(np.asarray(confidence), correct, bins)


def ece_floor(confidence: FloatArray, rng: np.random.Generator) -> float:
    """ECE that a perfectly calibrated model with these confidences stays below in 95% of samples this large.

    Each draw makes image i correct with probability `confidence[i]`, independently; images in groups make the
    true floor somewhat higher.

    Raises:
        DataError: there is no image.
    """
    num = len(confidence)
    require_images(num, "The ECE floor")
    in_bin = np.eye(NUM_BINS)[bin_confidence(confidence)]
    errors = []
    for block in blocks(NUM_DRAWS, num):
        correct = rng.random((block.stop - block.start, num)) < confidence
        errors.append(np.abs((confidence - correct) @ in_bin).sum(axis=1) / num)
    return float(np.quantile(np.concatenate(errors), 0.95))


def reliability_bins(confidence: FloatArray, correct: BoolArray) -> tuple[ReliabilityBin, ...]:
    """Mean confidence and accuracy in each equal-width bin; NaN where a bin is empty."""
    bins = bin_confidence(confidence)
    sizes = np.bincount(bins, minlength=NUM_BINS)
    mean_confidence = divide(np.bincount(bins, weights=confidence, minlength=NUM_BINS), sizes)
    accuracy = divide(np.bincount(bins, weights=np.asarray(correct, float), minlength=NUM_BINS), sizes)
    return tuple(
        ReliabilityBin(
            low=i / NUM_BINS,
            high=(i + 1) / NUM_BINS,
            num_images=int(sizes[i]),
            confidence=float(mean_confidence[i]),
            accuracy=float(accuracy[i]),
        )
        for i in range(NUM_BINS)
    )


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


def auroc_samples(
    scores_known: FloatArray,
    drawn_known: GroupResamples,
    scores_unknown: FloatArray,
    drawn_unknown: GroupResamples,
    strata: IntArray,
) -> FloatArray:
    """AUROC of every resample, for each stratum of the unknown images and, last, for all of them together.

    (resamples, s + 1), of n known and m unknown images, as many resamples of either; `strata` (m,) 0..s-1 are
    the classes of the unknown ones. NaN where a resample has nothing on one side.
    """
    order = np.argsort(scores_known)
    ranked = np.asarray(scores_known)[order]
    below = np.searchsorted(ranked, scores_unknown, side="left")
    not_above = np.searchsorted(ranked, scores_unknown, side="right")
    in_stratum = np.column_stack([np.eye(int(strata.max()) + 1)[strata], np.ones(len(strata))])
    samples = []
    for block in blocks(len(drawn_known.counts), len(scores_known) + len(scores_unknown)):
        rising = np.cumsum(drawn_known.counts[block][:, drawn_known.members[order]], axis=1, dtype=np.float64)
        rising = np.hstack([np.zeros((len(rising), 1)), rising])
        drawn = drawn_unknown.counts[block][:, drawn_unknown.members]
        wins = (rising[:, below] + rising[:, not_above]) / 2.0 * drawn
        samples.append(divide(wins @ in_stratum, drawn @ in_stratum * rising[:, -1:]))
    return np.concatenate(samples)


def _binned_gap(confidence: FloatArray, correct: BoolArray, bins: IntArray) -> float:
    gaps = np.bincount(bins, weights=confidence - np.asarray(correct, dtype=np.float64))
    return float(np.abs(gaps).sum() / len(confidence))


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

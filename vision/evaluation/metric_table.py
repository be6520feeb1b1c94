"""The table of metrics, one row each: name, words, direction and function.

A metric is a mean over images or a function of counts by class. Evaluation, the comparison of candidates and
their differences read it from here; all figures come with intervals over groups.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vision.base.record import FloatArray, IntArray, Interval
from vision.base.resampling import GroupResamples
from vision.base.softmax import nll_per_image, softmax
from vision.evaluation.metrics import ClassCounts, brier_per_image, class_counts, class_indicators


@dataclass(frozen=True, eq=False)
class Answers:
    """What one network says of n images, (n, k) not divided by the temperature, and their labels (n,)."""

    logits: FloatArray
    labels: IntArray
    temperature: float

    @property
    def classes(self) -> IntArray:
        """(n,) the most probable class."""
        return np.asarray(np.argmax(self.logits, axis=1))


@dataclass(frozen=True)
class Metric:
    """One row of the table; either `per_image` or `of_counts` computes it.

    Attributes:
        name: as `Evaluation` and the settings call it.
        per_image: (n,), its mean is the figure.
        of_counts: counts by class (..., k) to figures (...,).
        is_share: `per_image` is 0 or 1, so that the interval is exact.
    """

    name: str
    words: str
    higher_is_better: bool
    per_image: Callable[[Answers], FloatArray] | None = None
    of_counts: Callable[[ClassCounts], FloatArray] | None = None
    is_share: bool = False

    def favour(self, value: float) -> float:
        """The figure with its sign turned so that higher is better."""
        return value if self.higher_is_better else -value

    def estimate(self, answers: Answers, drawn: GroupResamples) -> Interval:
        """The figure with its interval."""
        if self.per_image is not None and self.is_share:
            return drawn.share(self.per_image(answers) > 0)
        if self.per_image is not None:
            return drawn.mean(self.per_image(answers))
        return drawn.interval(*self._counted(answers, drawn))

    def compare(self, first: Answers, second: Answers, drawn: GroupResamples) -> Interval:
        """Paired difference on the same images; positive favours the first."""
        if self.per_image is not None:
            gains = self.per_image(first) - self.per_image(second)
            return drawn.mean(gains if self.higher_is_better else -gains)
        (value, samples), (other, other_samples) = (self._counted(a, drawn) for a in (first, second))
        sign = 1.0 if self.higher_is_better else -1.0
        return drawn.interval(sign * (value - other), sign * (samples - other_samples))

    def _counted(self, answers: Answers, drawn: GroupResamples) -> tuple[float, FloatArray]:
        """The figure, and those of the resamples (resamples,)."""
        if self.of_counts is None:
            raise TypeError(f"Metric {self.name} has neither per_image nor of_counts; expected one of them.")
        indicators = class_indicators(answers.labels, answers.classes, answers.logits.shape[1])
        samples = self.of_counts(class_counts(drawn.sums(indicators)))
        return float(self.of_counts(class_counts(indicators.sum(axis=0)))), samples


def _right(answers: Answers) -> FloatArray:
    return np.asarray(answers.classes == answers.labels, dtype=np.float64)


def _nll(answers: Answers) -> FloatArray:
    return nll_per_image(answers.logits, answers.labels, answers.temperature)


def _brier(answers: Answers) -> FloatArray:
    return brier_per_image(softmax(answers.logits, answers.temperature), answers.labels)


_ROWS = (
    Metric("accuracy", "accuracy", True, per_image=_right, is_share=True),
    Metric("macro_f1", "macro F1", True, of_counts=ClassCounts.macro_f1),
    Metric("weighted_f1", "weighted F1", True, of_counts=ClassCounts.weighted_f1),
    Metric("nll", "NLL", False, per_image=_nll),
    Metric("brier", "Brier score", False, per_image=_brier),
)
METRICS = {row.name: row for row in _ROWS}
"""Every metric with an interval: a new one is a row here and a field of `Evaluation` with a default."""

NLL = METRICS["nll"]

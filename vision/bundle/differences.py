"""How far two networks' answers to the same images differ, and how much of it is more than chance.

The lower bound of a difference is the low end of a bootstrap over whole groups that draws both networks'
answers together; for a share it is the exact (Clopper-Pearson) bound where that is lower.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision.base.record import FloatArray
from vision.base.resampling import BoolArray, GroupResamples, blocks, divide, resample_groups
from vision.config.evaluation import BootstrapSettings
from vision.data.labelled import select
from vision.data.records import Split, Splits
from vision.decision.predictor import Decisions
from vision.decision.served import Served
from vision.evaluation.metrics import NUM_BINS, auroc, auroc_samples, bin_confidence


@dataclass(frozen=True, eq=False)
class Answered:
    """One network's answers to the validation images.

    Attributes:
        known: to n known images.
        correct: (n,) whether the most probable class is the true one.
        unknown_scores: (m,) of held-out images, empty without any.
    """

    known: Decisions
    correct: BoolArray
    unknown_scores: FloatArray

    @classmethod
    def of(cls, network: Served, splits: Splits) -> Answered:
        """The answers of a network that was run on validation."""
        known = select(network.outputs, splits, Split.VALIDATION)
        unknown = select(network.outputs, splits, Split.VALIDATION, unknown=True)
        decisions = network.decide(known.outputs)
        scores = network.decide(unknown.outputs).scores if len(unknown.labels) else np.zeros(0)
        return cls(decisions, decisions.classes == known.labels, scores)


@dataclass(frozen=True)
class Difference:
    """A measured difference and its lower bound, both at least 0."""

    value: float
    low: float


@dataclass(frozen=True, eq=False)
class Draws:
    """Resamples of validation's known and held-out images, drawn once for all figures and networks."""

    known: GroupResamples
    unknown: GroupResamples | None

    @classmethod
    def of(cls, splits: Splits, bootstrap: BootstrapSettings, seed: int) -> Draws:
        """Resamples of whole groups; of single images where all are of one group."""
        rng = np.random.default_rng(seed)
        known, unknown = (
            splits.group_array()[splits.rows(Split.VALIDATION, unknown=each)] for each in (False, True)
        )
        return cls(_draw(known, bootstrap, rng), _draw(unknown, bootstrap, rng) if len(unknown) else None)


def measure_differences(first: Answered, second: Answered, draws: Draws) -> dict[str, Difference]:
    """Every difference by its name in `ToleranceSettings`; of the unknown AUROC if it can be measured."""
    known = draws.known
    changes = np.abs(first.known.probs - second.known.probs).max(axis=1)
    measured = {
        "decision_disagreement": _share_difference(first.known.decisions != second.known.decisions, known),
        "mean_probability_difference": _bound(known, changes.mean(), _means(changes, known)),
        "max_probability_difference": _bound(known, changes.max(), _maxima(changes, known)),
        "ece_difference": _ece_difference(first, second, known),
    }
    if draws.unknown is not None:
        measured["unknown_auroc_difference"] = _auroc_difference(first, second, known, draws.unknown)
    return measured


def _draw(groups: NDArray[np.str_], bootstrap: BootstrapSettings, rng: np.random.Generator) -> GroupResamples:
    one_group = len(np.unique(groups)) < 2
    return resample_groups(np.arange(len(groups)) if one_group else groups, bootstrap, rng)


def _bound(drawn: GroupResamples, value: float, samples: FloatArray) -> Difference:
    """Size and lower bound of a signed difference; the bound is 0 where its interval holds 0."""
    interval = drawn.interval(float(value), samples)
    return Difference(abs(interval.value), float(np.nanmax([0.0, interval.low, -interval.high])) + 0.0)


def _share_difference(changed: BoolArray, drawn: GroupResamples) -> Difference:
    from scipy.stats import beta

    bootstrapped = _bound(drawn, changed.mean(), _means(changed, drawn))
    num, tail = int(changed.sum()), (1.0 - drawn.level) / 2.0
    exact = float(beta.ppf(tail, num, len(changed) - num + 1)) if num else 0.0
    return Difference(bootstrapped.value, min(bootstrapped.low, exact))


def _means(values: FloatArray | BoolArray, drawn: GroupResamples) -> FloatArray:
    return divide(drawn.sums(np.asarray(values, np.float64)), drawn.sums(np.ones(len(values))))


def _maxima(values: FloatArray, drawn: GroupResamples) -> FloatArray:
    """Largest of per-image `values` (n,) in each resample, (resamples,)."""
    largest = np.zeros(drawn.num_groups)
    np.maximum.at(largest, drawn.members, values)
    parts = blocks(len(drawn.counts), drawn.num_groups)
    return np.concatenate([np.where(drawn.counts[part] > 0, largest, 0.0).max(axis=1) for part in parts])


def _ece_difference(first: Answered, second: Answered, drawn: GroupResamples) -> Difference:
    num = len(first.correct)
    sizes = drawn.sums(np.ones(num))

    def measure(side: Answered) -> tuple[float, FloatArray]:
        gaps = np.zeros((num, NUM_BINS))
        gaps[np.arange(num), bin_confidence(side.known.confidence)] = side.known.confidence - side.correct
        return float(np.abs(gaps.sum(axis=0)).sum()) / num, np.abs(drawn.sums(gaps)).sum(axis=1) / sizes

    (before, before_drawn), (after, after_drawn) = measure(first), measure(second)
    return _bound(drawn, before - after, before_drawn - after_drawn)


def _auroc_difference(
    first: Answered, second: Answered, known: GroupResamples, unknown: GroupResamples
) -> Difference:
    strata = np.zeros(len(first.unknown_scores), np.int64)

    def measure(side: Answered) -> tuple[float, FloatArray]:
        drawn = auroc_samples(side.known.scores, known, side.unknown_scores, unknown, strata)
        return auroc(side.known.scores, side.unknown_scores), drawn[:, -1]

    (before, before_drawn), (after, after_drawn) = measure(first), measure(second)
    return _bound(known, before - after, before_drawn - after_drawn)

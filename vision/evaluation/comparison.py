"""Picks the winner on validation; of candidates that cannot be told apart, the one that decides most alone.

Candidates are compared on the same images; whole groups are resampled. A difference is positive where the
first model is better, whatever the direction of the metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.base.errors import DataError
from vision.base.outputs import ModelFile
from vision.base.record import FloatArray, Interval
from vision.base.resampling import GroupResamples, resample_groups
from vision.base.wording import format_hundred, join_words
from vision.config.evaluation import BootstrapSettings, ComparisonSettings
from vision.data.records import POOLED, Split, Splits
from vision.decision.held_out import HeldOut
from vision.decision.records import USEFUL_COVERAGE, DecisionRule, ReviewThreshold
from vision.evaluation.metric_table import METRICS, NLL, Answers, Metric
from vision.evaluation.records import CandidateRow, Comparison, Difference, Evaluation


@dataclass(frozen=True, eq=False)
class Contender:
    """One candidate, its answers on validation (the same images for all), and what it may decide alone."""

    evaluation: Evaluation
    model: ModelFile
    answers: Answers
    review: ReviewThreshold

    @property
    def name(self) -> str:
        """The candidate's name."""
        return self.evaluation.candidate

    def value(self, metric: Metric) -> float:
        """The figure of its evaluation."""
        interval: Interval = getattr(self.evaluation, metric.name)
        return interval.value


def line_up(
    evaluations: Sequence[Evaluation],
    models: Sequence[ModelFile],
    held_out: Sequence[HeldOut],
    rules: Sequence[DecisionRule],
    splits: Splits,
) -> tuple[list[Contender], HeldOut]:
    """The candidates on validation, and the validation images' truth; all sequences are in one order.

    Raises:
        DataError: there is no candidate, or the lists are of different lengths.
    """
    if not evaluations or not len(evaluations) == len(models) == len(held_out) == len(rules):
        raise DataError(
            f"Comparison got {len(evaluations)} evaluations, {len(models)} models, {len(held_out)} sets of "
            f"held-out answers and {len(rules)} rules. Expected at least one, as many of each."
        )
    rows = splits.rows(Split.VALIDATION)
    for each in held_out:
        rows = rows[np.isin(rows, each.rows)]
    known = [each.at(rows) for each in held_out]
    contenders = [
        Contender(evaluation, model, Answers(each.logits, each.labels, rule.temperature.value), rule.review)
        for evaluation, model, each, rule in zip(evaluations, models, known, rules, strict=True)
    ]
    return contenders, known[0]


def choose_winner(
    contenders: Sequence[Contender],
    truth: HeldOut,
    settings: ComparisonSettings,
    bootstrap: BootstrapSettings,
    seed: int,
) -> Comparison:
    """The comparison of at least one contender on the labels and groups of `truth`.

    The leader is best by the metric. Contenders whose paired difference to the leader has an interval that
    does not lie above zero are tied with it. Of the tied one that decides a useful share alone is preferred,
    then the stricter promise, the lowest calibrated NLL, the fewest parameters, the name. A fine-tuning that
    failed beside a frozen candidate of the same network is the same network again: it stands among the
    candidates and is compared with none.
    """
    everyone, contenders = contenders, _leave_out_copies(contenders)
    copies = [each.name for each in everyone if each not in contenders]
    drawn = resample_groups(truth.groups, bootstrap, np.random.default_rng(seed))
    metric = METRICS[settings.metric]
    leader = contenders[int(np.argmax([metric.favour(each.value(metric)) for each in contenders]))]
    to_leader = {
        each.name: _compare(leader, each, metric, drawn) for each in contenders if each is not leader
    }
    tied = [each for each in contenders if each is leader or not to_leader[each.name].difference.low > 0]
    winner = min(tied, key=_preference)
    differences = list(to_leader.values())
    if metric is not NLL:
        differences += [_compare(winner, each, NLL, drawn) for each in contenders if each is not winner]
    return Comparison(
        metric=metric.name,
        winner=winner.name,
        reason=_explain(winner, leader, tied, contenders, metric) + _explain_copies(copies),
        candidates=tuple(_describe_candidate(each) for each in everyone),
        differences=tuple(differences),
    )


def winner_index(comparison: Comparison) -> int:
    """Position of the winner among the candidates."""
    return [row.candidate for row in comparison.candidates].index(comparison.winner)


# --- paired differences ---------------------------------------------------------------------------------


def paired_difference(
    first_values: FloatArray | NDArray[np.bool_],
    second_values: FloatArray | NDArray[np.bool_],
    groups: NDArray[Any],
    bootstrap: BootstrapSettings,
    rng: np.random.Generator,
) -> Interval:
    """Mean of first - second over the same images, (n,) each, with its interval over groups (n,).

    For a loss, swap the two, so that positive favours the first.

    Raises:
        ValueError: the values are not of the same images.
    """
    if not len(first_values) == len(second_values) == len(groups):
        raise ValueError(
            f"Paired values are of {len(first_values)} and {len(second_values)} images in {len(groups)} "
            "group entries; expected the same images on both sides."
        )
    differences = np.asarray(first_values, dtype=np.float64) - np.asarray(second_values, dtype=np.float64)
    return resample_groups(groups, bootstrap, rng).mean(differences)


def _compare(first: Contender, second: Contender, metric: Metric, drawn: GroupResamples) -> Difference:
    difference = metric.compare(first.answers, second.answers, drawn)
    return Difference(metric=metric.name, first=first.name, second=second.name, difference=difference)


def _leave_out_copies(contenders: Sequence[Contender]) -> list[Contender]:
    def network(each: Contender) -> tuple[str, int]:
        return each.model.backbone, each.model.num_parameters

    frozen = {
        network(each) for each in contenders if each.model.head_only and not each.model.fine_tuning_failed
    }
    return [each for each in contenders if not (each.model.fine_tuning_failed and network(each) in frozen)]


def _explain_copies(names: Sequence[str]) -> str:
    if not names:
        return ""
    return f" Fine-tuning did not help {join_words(names)}: the head alone was kept, as in the frozen one."


def _preference(contender: Contender) -> tuple[int, float, float, int, str]:
    own = contender.evaluation.nll.value, contender.model.num_parameters, contender.name
    return *_promise(contender), *own


def _promise(contender: Contender) -> tuple[int, float]:
    """0 where it decides a useful share alone, 1 where it decides something, else 2; and what is promised."""
    review = contender.review
    if not review.attainable:
        return 2, 1.0
    return int(review.coverage < USEFUL_COVERAGE), review.target_risk


def _describe_candidate(contender: Contender) -> CandidateRow:
    evaluation = contender.evaluation
    deciding = [row for row in evaluation.deciding_rows() if row.class_name == POOLED]
    return CandidateRow(
        candidate=contender.name,
        backbone=contender.model.backbone,
        accuracy=evaluation.accuracy,
        macro_f1=evaluation.macro_f1,
        nll=evaluation.nll,
        ece=evaluation.ece,
        unknown_auroc=deciding[0].auroc.value if deciding else np.nan,
        num_parameters=contender.model.num_parameters,
        fine_tuning_failed=contender.model.fine_tuning_failed,
        decided_alone=contender.review.coverage if contender.review.attainable else 0.0,
        promised_risk=contender.review.target_risk if contender.review.attainable else None,
    )


def _explain(
    winner: Contender,
    leader: Contender,
    tied: Sequence[Contender],
    contenders: Sequence[Contender],
    metric: Metric,
) -> str:
    words, value = metric.words, leader.value(metric)
    best = f"{value:.3f}" if metric is NLL else f"{value:.1%}"
    if len(contenders) == 1:
        return f"{winner.name} is the only candidate; its {words} on validation is {best}."
    if len(tied) == 1:
        return f"{winner.name} has the best {words} on validation ({best}), beyond doubt against every other."
    others = ", ".join(each.name for each in tied if each is not winner)
    told_by = _tell_preference(winner, tied)
    if winner is leader:
        return (
            f"{winner.name} has the best {words} on validation ({best}), though {others} cannot be told from "
            f"it; of these it {told_by}."
        )
    return (
        f"{leader.name} has the best {words} on validation ({best}), but {others} and {winner.name} cannot "
        f"be told apart on these images; of them {winner.name} {told_by}."
    )


def _tell_preference(winner: Contender, tied: Sequence[Contender]) -> str:
    """What the winner has before the others that the metric cannot tell from it."""
    review = winner.review
    promised = f"at most {review.target_risk:.0%} of these wrong"
    if any(_promise(each)[0] != _promise(winner)[0] for each in tied):
        return f"decides more alone ({format_hundred(review.coverage)}%, {promised})"
    if any(_promise(each) != _promise(winner) for each in tied):
        return f"has the strictest promise ({promised})"
    own = f"has the lowest calibrated NLL ({winner.evaluation.nll.value:.3f})"
    if any(each.evaluation.nll.value == winner.evaluation.nll.value for each in tied if each is not winner):
        return own + " and, of those, the fewest parameters"
    return own

"""Figures of one model on one split, by the rule that is served, with intervals over groups.

Every figure about confidence uses the rule's temperature; every answer is that of
`vision.decision.predictor.decide`. What is absent (no held-out classes, no far images) has no rows. Near
unknowns are images of held-out classes, far ones are images of no class at all; intervals about
them resample their groups class by class.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from vision.base.errors import TooFewImagesError
from vision.base.record import FloatArray, Interval
from vision.base.resampling import BoolArray, percentile_interval, resample_groups, share_interval
from vision.config.evaluation import BootstrapSettings
from vision.data.labelled import Labelled
from vision.data.records import POOLED, Split
from vision.decision.prediction_sets import find_sets
from vision.decision.records import DecisionRule, OodDetector, RiskRung, Temperature
from vision.decision.scores import OodScore
from vision.evaluation.answered import NEAR, Answered, Images, answer_known, answer_others
from vision.evaluation.examples import choose_examples, find_mistakes
from vision.evaluation.metric_table import METRICS, Answers
from vision.evaluation.metrics import (
    ClassCounts,
    adaptive_ece,
    auroc,
    auroc_samples,
    bin_confidence,
    class_counts,
    class_indicators,
    confusion_matrix,
    ece,
    ece_floor,
    fpr_at_95_tpr,
    reliability_bins,
    roc_curve,
)
from vision.evaluation.records import (
    FEW_GROUPS,
    LEAST_GROUPS,
    ClassRow,
    DecisionRates,
    Evaluation,
    LadderRow,
    Measured,
    RocCurve,
    UnknownRow,
)

NUM_HISTOGRAM_BINS = 20


@dataclass(frozen=True)
class Subject:
    """What is evaluated; its form is keras, or the precision of the exported graph."""

    candidate: str
    split: str
    form: str


def evaluate(
    images: Images,
    rule: DecisionRule,
    detector: OodDetector,
    subject: Subject,
    bootstrap: BootstrapSettings,
    seed: int,
) -> Evaluation:
    """Everything that is measured of one model on one split; TooFewImagesError if there is no known image."""
    known, split = images.known, subject.split
    if not len(known.labels):
        raise TooFewImagesError(
            f"Split {split} holds no image of a known class; expected some. Raise split.{split}."
        )
    rng = np.random.default_rng(seed)
    answered = answer_known(images, rule, detector, resample_groups(known.groups, bootstrap, rng))
    others = answer_others(images, rule, detector, bootstrap, rng)
    correct = answered.decisions.classes == known.labels
    deciding = OodScore(rule.unknown.score_name)
    answers = Answers(known.outputs.logits, known.labels, rule.temperature.value)
    near = [each.decisions.confidence for each in others if each.kind == NEAR]
    fields = {
        **{name: metric.estimate(answers, answered.drawn) for name, metric in METRICS.items()},
        **_count_classes(known, answered, rule),
        **_measure_confidence(answered, correct, rng),
        **_measure_sets(known, answered, rule),
        "confidence_unknown": _histogram(np.concatenate([np.zeros(0), *near])),
        "unknown": tuple(row for each in others for row in _describe_unknown(answered, each, deciding)),
        "roc": tuple(curve for each in others for curve in _trace_rocs(answered, each, deciding)),
        "rates": (_describe_rates(answered, correct), *(_describe_rates(each, None) for each in others)),
        "ladder": tuple(_climb(answered, correct, rule, rung) for rung in rule.review.ladder),
        "mistakes": find_mistakes(answered, correct, rule.class_names),
        "examples": tuple(
            chain(*(choose_examples(each, rule.class_names, rng) for each in (answered, *others)))
        ),
    }
    return Evaluation(
        candidate=subject.candidate,
        split=str(split),
        form=subject.form,
        num_images=len(correct),
        num_groups=answered.drawn.num_groups,
        class_names=rule.class_names,
        deciding_score=deciding.value,
        held_out=_recall_held_out(rule.temperature) if split == Split.TEST else None,
        **fields,
    )


def _recall_held_out(temperature: Temperature) -> Measured | None:
    """What the temperature's record says of the images that it was fitted on, none of which is of test."""
    if temperature.accuracy is None:
        return None
    return Measured(
        accuracy=temperature.accuracy,
        num_images=temperature.num_images,
        num_groups=temperature.num_groups,
    )


# --- known classes --------------------------------------------------------------------------------------


def _count_classes(known: Labelled, answered: Answered, rule: DecisionRule) -> dict[str, Any]:
    """Confusion and a row for each class."""
    num_classes, classes = len(rule.class_names), answered.decisions.classes
    indicators = class_indicators(known.labels, classes, num_classes)
    counts = class_counts(indicators.sum(axis=0))
    samples = class_counts(answered.drawn.sums(indicators))
    confusion = confusion_matrix(known.labels, classes, num_classes)
    return {
        "confusion": tuple(tuple(int(cell) for cell in row) for row in confusion),
        "classes": tuple(
            _describe_class(i, rule.class_names[i], known, answered, counts, samples)
            for i in range(num_classes)
        ),
    }


def _describe_class(
    index: int, name: str, known: Labelled, answered: Answered, counts: ClassCounts, samples: ClassCounts
) -> ClassRow:
    members = known.labels == index
    decisions, groups = answered.decisions, len(np.unique(known.groups[members]))
    f1 = answered.drawn.interval(float(counts.f1()[index]), samples.f1()[:, index])
    if groups < LEAST_GROUPS or (groups < FEW_GROUPS and f1.low == f1.high):
        f1 = Interval(value=f1.value, low=np.nan, high=np.nan)
    return ClassRow(
        class_name=name,
        precision=float(counts.precision()[index]),
        recall=float(counts.recall()[index]),
        f1=f1,
        num_images=int(members.sum()),
        num_groups=groups,
        accepted=_share(decisions.accepted[members]),
        reviewed=_share(decisions.reviewed[members]),
        called_unknown=_share(decisions.called_unknown[members]),
    )


def _measure_confidence(answered: Answered, correct: BoolArray, rng: np.random.Generator) -> dict[str, Any]:
    """ECE and what the reliability diagram shows."""
    confidence = answered.decisions.confidence
    return {
        "ece": ece(confidence, correct),
        "ece_floor": ece_floor(confidence, rng),
        "adaptive_ece": adaptive_ece(confidence, correct),
        "reliability": reliability_bins(confidence, correct),
        "confidence_correct": _histogram(confidence[correct]),
        "confidence_wrong": _histogram(confidence[~correct]),
    }


def _measure_sets(known: Labelled, answered: Answered, rule: DecisionRule) -> dict[str, Any]:
    """How often the true class is in the prediction set, and how many classes are; nothing without sets."""
    sets = find_sets(rule, answered.decisions.probs)
    if sets is None:
        return {}
    covered = sets[np.arange(len(sets)), known.labels]
    return {"set_covers": answered.drawn.share(covered), "set_size": float(sets.sum(axis=1).mean())}


# --- unknowns -------------------------------------------------------------------------------------------


def _describe_unknown(known: Answered, other: Answered, deciding: OodScore) -> list[UnknownRow]:
    """A row for each class of one kind and one for all of them, for every score; the deciding one first."""
    names, strata = np.unique(other.class_names, return_inverse=True)
    enough = [len(np.unique(other.groups[strata == i])) >= 2 for i in range(len(names))]
    members = {str(name): strata == i for i, name in enumerate(names)} | {POOLED: strata >= 0}
    enough.append(other.drawn.num_groups >= 2)
    rows = []
    for score in sorted(known.scores, key=lambda name: name != deciding):
        of_known, of_other = known.scores[score], other.scores[score]
        samples = auroc_samples(of_known, known.drawn, of_other, other.drawn, strata)
        for column, (name, chosen) in enumerate(members.items()):
            drawn = samples[:, column] if enough[column] and known.drawn.num_groups >= 2 else np.zeros(0)
            decisions = other.decisions
            found = _share(decisions.called_unknown[chosen]) if score == deciding else np.nan
            accepted = _share(decisions.accepted[chosen]) if score == deciding else np.nan
            rows.append(
                UnknownRow(
                    class_name=name,
                    kind=other.kind,
                    score_name=str(score),
                    auroc=percentile_interval(auroc(of_known, of_other[chosen]), drawn, known.drawn.level),
                    fpr_at_95_tpr=fpr_at_95_tpr(of_known, of_other[chosen]),
                    found=found,
                    accepted=accepted,
                    num_images=int(chosen.sum()),
                )
            )
    return rows


def _trace_rocs(known: Answered, other: Answered, deciding: OodScore) -> list[RocCurve]:
    """Curves of the deciding score and of maximum softmax against all images of one kind."""
    curves = []
    for score in dict.fromkeys([deciding, OodScore.MSP]):
        false_rate, true_rate = roc_curve(known.scores[score], other.scores[score])
        curves.append(
            RocCurve(
                score_name=score.value,
                kind=other.kind,
                false_positive_rate=tuple(false_rate.tolist()),
                true_positive_rate=tuple(true_rate.tolist()),
            )
        )
    return curves


# --- decisions ------------------------------------------------------------------------------------------


def _describe_rates(answered: Answered, correct: BoolArray | None) -> DecisionRates:
    """Shares of the three answers; `correct` (m,) of known images, None of unknown ones."""
    decisions, drawn = answered.decisions, answered.drawn
    accepted, wrong = decisions.accepted, None
    if correct is not None and accepted.any():
        wrong = share_interval(~correct[accepted], drawn.members[accepted], drawn.level)
    return DecisionRates(
        kind=answered.kind,
        num_images=len(answered.rows),
        accepted=drawn.share(accepted),
        reviewed=drawn.share(decisions.reviewed),
        called_unknown=drawn.share(decisions.called_unknown),
        called_stranger=drawn.share(decisions.strangers),
        called_look_alike=drawn.share(decisions.called_unknown & ~decisions.strangers),
        wrong_among_accepted=np.nan if wrong is None else wrong.value,
        wrong_among_accepted_interval=wrong,
    )


def _climb(answered: Answered, correct: BoolArray, rule: DecisionRule, rung: RiskRung) -> LadderRow:
    """What one rung of the rule's ladder would have accepted of the known images."""
    decisions = answered.decisions
    unlike = decisions.strangers | (decisions.scores > rule.unknown.value)
    accepted = ~unlike & (decisions.confidence >= rung.value) & rung.attainable
    return LadderRow(
        target_risk=rung.target_risk,
        attainable=rung.attainable,
        coverage=rung.coverage,
        accepted=_share(accepted),
        wrong=_share(~correct[accepted]),
    )


def _share(mask: BoolArray) -> float:
    """Share of true values; NaN of none."""
    return float(mask.mean()) if len(mask) else float("nan")


def _histogram(confidence: FloatArray) -> tuple[int, ...]:
    """Images in each of 20 equal bins over [0, 1]; the last is closed at 1."""
    bins = bin_confidence(confidence, NUM_HISTOGRAM_BINS)
    return tuple(np.bincount(bins, minlength=NUM_HISTOGRAM_BINS).tolist())

"""The truth about one model on one split, by the rule that is served, with intervals over groups.

Every figure about confidence uses the rule's temperature; every answer is that of
`vision.decision.predictor.decide`. What is absent (no held-out classes, no far images) has no rows. Near
unknowns are images of held-out classes, far ones are images of no class at all; intervals about
them resample their groups class by class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.base.errors import TooFewImagesError
from vision.base.outputs import ModelOutputs
from vision.base.record import FloatArray, IntArray, Interval
from vision.base.resampling import GroupResamples, percentile_interval, resample_groups
from vision.base.softmax import nll_per_image
from vision.config.evaluation import BootstrapSettings
from vision.data.labelled import Labelled
from vision.data.records import POOLED
from vision.decision.predictor import Decisions, decide
from vision.decision.records import Decision, DecisionRule, OodDetector
from vision.decision.scores import OodScore, score_unknown
from vision.evaluation.metrics import (
    ClassCounts,
    adaptive_ece,
    auroc,
    auroc_samples,
    bin_confidence,
    brier_per_image,
    class_counts,
    class_indicators,
    confusion_matrix,
    ece,
    ece_floor,
    fpr_at_95_tpr,
    reliability_bins,
    roc_curve,
)
from vision.evaluation.records import Answer, ClassRow, DecisionRates, Evaluation, RocCurve, UnknownRow

KNOWN, NEAR, FAR = "known", "near", "far"

NUM_HISTOGRAM_BINS = 20
MAX_MISTAKES = 24
MAX_EXAMPLES = 8
"""Examples of each kind and decision."""

MIN_EXAMPLES_PER_CLASS = 2
"""Examples of each unknown class, whatever it was answered."""

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Answered:
    """Images of one kind and what they were answered, m of everything.

    Attributes:
        kind: known, near or far.
        rows: (m,) data-set row, or index within the far set.
        class_names: (m,) str, true class, or kind of far image.
        groups: (m,) str.
        decisions: the answers.
        scores: every unknown score by name, (m,) each.
        drawn: resamples of the groups; of unknown kinds, class by class.
    """

    kind: str
    rows: IntArray
    class_names: NDArray[np.str_]
    groups: NDArray[np.str_]
    decisions: Decisions
    scores: dict[OodScore, FloatArray]
    drawn: GroupResamples


def evaluate(
    known: Labelled,
    unknown: Labelled | None,
    far: Mapping[str, ModelOutputs] | None,
    rule: DecisionRule,
    detector: OodDetector,
    *,
    candidate: str,
    split: str,
    form: str,
    bootstrap: BootstrapSettings,
    seed: int,
) -> Evaluation:
    """Everything that is measured of one model on one split.

    Args:
        known: images of known classes.
        unknown: images of held-out classes; None or empty where there are none.
        far: far kind -> outputs of its images, each image its own group; None or empty where there are none.
        rule: temperature and thresholds, as they are served.
        detector: gives the unknown scores.
        candidate: name of the model.
        split: which split the images are of.
        form: keras, or the precision of the exported graph.
        bootstrap: number of resamples and level of the intervals.
        seed: draws resamples and examples.

    Raises:
        TooFewImagesError: there is no known image.
    """
    if not len(known.labels):
        raise TooFewImagesError(
            f"Split {split} holds no image of a known class; expected some. Raise split.{split}."
        )
    rng = np.random.default_rng(seed)
    answered = _answer(KNOWN, known, rule, detector, resample_groups(known.groups, bootstrap, rng))
    others = _answer_others(unknown, far, rule, detector, bootstrap, rng)
    correct = answered.decisions.classes == known.labels
    deciding = OodScore(rule.unknown.score_name)
    fields = {
        **_measure_classes(known, answered, rule),
        **_measure_confidence(known, answered, rule, rng),
        "confidence_unknown": _histogram(
            np.concatenate(
                [np.zeros(0), *(each.decisions.confidence for each in others if each.kind == NEAR)]
            )
        ),
        "unknown": tuple(row for each in others for row in _describe_unknown(answered, each, deciding)),
        "roc": tuple(curve for each in others for curve in _trace_rocs(answered, each, deciding)),
        "rates": (
            _describe_rates(answered, correct),
            *(_describe_rates(each, None) for each in others),
        ),
        "mistakes": _find_mistakes(answered, correct, rule.class_names),
        "examples": tuple(
            answer for each in (answered, *others) for answer in _choose_examples(each, rule.class_names, rng)
        ),
    }
    return Evaluation(
        candidate=candidate,
        split=str(split),
        form=form,
        num_images=len(correct),
        num_groups=answered.drawn.num_groups,
        class_names=rule.class_names,
        **fields,
    )


# --- answers --------------------------------------------------------------------------------------------


def _answer(
    kind: str, images: Labelled, rule: DecisionRule, detector: OodDetector, drawn: GroupResamples
) -> Answered:
    outputs = images.outputs
    decisions = decide(rule, detector, outputs.logits, outputs.embeddings, outputs.quality)
    scores = {
        name: decisions.scores
        if name == rule.unknown.score_name
        else score_unknown(detector, outputs.logits, outputs.embeddings, outputs.quality, name)
        for name in OodScore
    }
    return Answered(kind, outputs.rows, images.class_names, images.groups, decisions, scores, drawn)


def _answer_others(
    unknown: Labelled | None,
    far: Mapping[str, ModelOutputs] | None,
    rule: DecisionRule,
    detector: OodDetector,
    bootstrap: BootstrapSettings,
    rng: np.random.Generator,
) -> list[Answered]:
    kinds: dict[str, Labelled] = {}
    if unknown is not None and len(unknown.labels):
        kinds[NEAR] = unknown
    present = {kind: outputs for kind, outputs in (far or {}).items() if len(outputs.rows)}
    if present:
        kinds[FAR] = _pool_far(present)
    return [
        _answer(
            kind, images, rule, detector, resample_groups(images.groups, bootstrap, rng, images.class_names)
        )
        for kind, images in kinds.items()
    ]


def _pool_far(far: Mapping[str, ModelOutputs]) -> Labelled:
    """All far images as one set: the class name is the kind, each image its own group."""
    parts = list(far.values())
    names = np.repeat(np.array(list(far), dtype=np.str_), [len(part.rows) for part in parts])
    rows = np.concatenate([part.rows for part in parts])
    outputs = ModelOutputs(
        rows=rows,
        logits=np.concatenate([part.logits for part in parts]),
        embeddings=np.concatenate([part.embeddings for part in parts]),
        quality=np.concatenate([part.quality for part in parts]),
        kernel=parts[0].kernel,
        bias=parts[0].bias,
    )
    groups = np.arange(len(rows)).astype(np.str_)
    return Labelled(outputs=outputs, labels=np.full(len(rows), -1), class_names=names, groups=groups)


# --- known classes --------------------------------------------------------------------------------------


def _measure_classes(known: Labelled, answered: Answered, rule: DecisionRule) -> dict[str, Any]:
    """Accuracy, F1 and everything else that is counted by class."""
    num_classes, classes, drawn = len(rule.class_names), answered.decisions.classes, answered.drawn
    indicators = class_indicators(known.labels, classes, num_classes)
    counts, samples = class_counts(indicators.sum(axis=0)), class_counts(drawn.sums(indicators))
    confusion = confusion_matrix(known.labels, classes, num_classes)
    return {
        "accuracy": drawn.mean(classes == known.labels),
        "macro_f1": drawn.interval(float(counts.macro_f1()), samples.macro_f1()),
        "weighted_f1": drawn.interval(float(counts.weighted_f1()), samples.weighted_f1()),
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
    decisions = answered.decisions
    return ClassRow(
        class_name=name,
        precision=float(counts.precision()[index]),
        recall=float(counts.recall()[index]),
        f1=answered.drawn.interval(float(counts.f1()[index]), samples.f1()[:, index]),
        num_images=int(members.sum()),
        num_groups=len(np.unique(known.groups[members])),
        accepted=_share(decisions.accepted[members]),
        reviewed=_share(decisions.reviewed[members]),
        called_unknown=_share(decisions.called_unknown[members]),
    )


def _measure_confidence(
    known: Labelled, answered: Answered, rule: DecisionRule, rng: np.random.Generator
) -> dict[str, Any]:
    """NLL, Brier, ECE and what the reliability diagram shows."""
    decisions, drawn = answered.decisions, answered.drawn
    confidence, correct = decisions.confidence, decisions.classes == known.labels
    losses = nll_per_image(known.outputs.logits, known.labels, rule.temperature.value)
    return {
        "nll": drawn.mean(losses),
        "brier": drawn.mean(brier_per_image(decisions.probs, known.labels)),
        "ece": ece(confidence, correct),
        "ece_floor": ece_floor(confidence, rng),
        "adaptive_ece": adaptive_ece(confidence, correct),
        "reliability": reliability_bins(confidence, correct),
        "confidence_correct": _histogram(confidence[correct]),
        "confidence_wrong": _histogram(confidence[~correct]),
    }


# --- unknowns -------------------------------------------------------------------------------------------


def _describe_unknown(known: Answered, other: Answered, deciding: OodScore) -> list[UnknownRow]:
    """A row for each class of one kind and one for all of them, for every score; the deciding one first."""
    names, strata = np.unique(other.class_names, return_inverse=True)
    enough = [len(np.unique(other.groups[strata == i])) >= 2 for i in range(len(names))]
    members = {str(name): strata == i for i, name in enumerate(names)} | {POOLED: strata >= 0}
    enough.append(other.drawn.num_groups >= 2)
    rows = []
    for score in sorted(OodScore, key=lambda name: name != deciding):
        of_known, of_other = known.scores[score], other.scores[score]
        samples = auroc_samples(of_known, known.drawn, of_other, other.drawn, strata)
        for column, (name, chosen) in enumerate(members.items()):
            drawn = samples[:, column] if enough[column] and known.drawn.num_groups >= 2 else np.zeros(0)
            found = _share(other.decisions.called_unknown[chosen]) if score == deciding else np.nan
            rows.append(
                UnknownRow(
                    class_name=name,
                    kind=other.kind,
                    score_name=score.value,
                    auroc=percentile_interval(auroc(of_known, of_other[chosen]), drawn, known.drawn.level),
                    fpr_at_95_tpr=fpr_at_95_tpr(of_known, of_other[chosen]),
                    found=found,
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
    wrong = None if correct is None else _share_wrong(answered, correct)
    return DecisionRates(
        kind=answered.kind,
        num_images=len(answered.rows),
        accepted=drawn.mean(decisions.accepted),
        reviewed=drawn.mean(decisions.reviewed),
        called_unknown=drawn.mean(decisions.called_unknown),
        wrong_among_accepted=np.nan if wrong is None else wrong.value,
        wrong_among_accepted_interval=wrong,
    )


def _share_wrong(answered: Answered, correct: BoolArray) -> Interval | None:
    """Share of wrong among the accepted, over resamples that accept anything; None if nothing is accepted."""
    accepted = answered.decisions.accepted
    if not accepted.any():
        return None
    sums = answered.drawn.sums(np.column_stack([accepted & ~correct, accepted]))
    shares = sums[sums[:, 1] > 0]
    return answered.drawn.interval(_share(~correct[accepted]), shares[:, 0] / shares[:, 1])


def _find_mistakes(answered: Answered, correct: BoolArray, names: Sequence[str]) -> tuple[Answer, ...]:
    """The most confident known images of the wrong class, worst first."""
    wrong = np.flatnonzero(~correct)
    worst_first = wrong[np.argsort(-answered.decisions.confidence[wrong], kind="stable")]
    return tuple(_describe_answer(answered, int(i), names) for i in worst_first[:MAX_MISTAKES])


def _choose_examples(
    answered: Answered, names: Sequence[str], rng: np.random.Generator
) -> tuple[Answer, ...]:
    """Up to eight random images of each decision, spread over the classes, in order of decision and row.

    Of near unknowns at least two of each class are shown, even where that makes more than eight.
    """
    order = _spread(rng.permutation(len(answered.rows)), answered.class_names)
    decided = answered.decisions.decisions
    chosen: list[int] = []
    for decision in Decision:
        mine = order[decided[order] == decision.value]
        chosen += _spread(mine, answered.class_names)[:MAX_EXAMPLES].tolist()
    if answered.kind == NEAR:
        for name in np.unique(answered.class_names):
            of_class = order[answered.class_names[order] == name].tolist()
            shown = [i for i in of_class if i in chosen]
            missing = MIN_EXAMPLES_PER_CLASS - len(shown)
            chosen += [i for i in of_class if i not in shown][: max(0, missing)]
    rank = {decision.value: place for place, decision in enumerate(Decision)}
    chosen.sort(key=lambda i: (rank[str(decided[i])], str(answered.class_names[i]), int(answered.rows[i])))
    return tuple(_describe_answer(answered, i, names) for i in chosen)


def _spread(indices: IntArray, class_names: NDArray[np.str_]) -> IntArray:
    """`indices` reordered so that classes take turns; within a class the order stays."""
    turn = np.zeros(len(indices), dtype=np.int64)
    for name in np.unique(class_names[indices]):
        mine = class_names[indices] == name
        turn[mine] = np.arange(int(mine.sum()))
    return indices[np.argsort(turn, kind="stable")]


def _describe_answer(answered: Answered, index: int, names: Sequence[str]) -> Answer:
    decisions = answered.decisions
    return Answer(
        row=int(answered.rows[index]),
        kind=answered.kind,
        true_class=str(answered.class_names[index]),
        class_name=names[int(decisions.classes[index])],
        confidence=float(decisions.confidence[index]),
        unknown_score=float(decisions.scores[index]),
        decision=Decision(str(decisions.decisions[index])),
    )


def _share(mask: BoolArray) -> float:
    """Share of true values; NaN of none."""
    return float(mask.mean()) if len(mask) else float("nan")


def _histogram(confidence: FloatArray) -> tuple[int, ...]:
    """Images in each of 20 equal bins over [0, 1]; the last is closed at 1."""
    bins = bin_confidence(confidence, NUM_HISTOGRAM_BINS)
    return tuple(np.bincount(bins, minlength=NUM_HISTOGRAM_BINS).tolist())

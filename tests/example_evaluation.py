"""Figures of the example run, computed from simulated outputs of a fish classifier."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score, roc_curve

from tests.example_data import FAR, KNOWN, around, make_manifest, make_splits
from vision.base.record import Interval
from vision.data.records import (
    Split,
    Splits,
)
from vision.decision.records import Decision, DecisionRule, ReviewThreshold, Temperature, UnknownThreshold
from vision.evaluation.records import (
    Answer,
    ClassRow,
    DecisionRates,
    Evaluation,
    ReliabilityBin,
    RocCurve,
    UnknownRow,
)


def make_temperature(*, applied: bool = True) -> Temperature:
    """A network that was too sure."""
    return Temperature(
        value=1.31 if applied else 1.0,
        applied=applied,
        fitted_value=1.31,
        nll_before=0.212,
        nll_after=0.181,
        gain=Interval(value=0.03, low=0.012 if applied else -0.004, high=0.048),
        num_images=60,
        num_groups=30,
    )


def make_rule(class_names: tuple[str, ...] = KNOWN, *, attainable: bool = True) -> DecisionRule:
    """Thresholds with their promises."""
    scores = tuple(float(s) for s in np.sort(np.random.default_rng(0).normal(0, 1, 60)))
    return DecisionRule(
        class_names=class_names,
        temperature=make_temperature(),
        unknown=UnknownThreshold(
            score_name="fwk",
            value=1.9,
            attainable=attainable,
            alpha=0.05,
            delta=0.05,
            num_images=60,
            num_groups=30,
            design_effect=1.4,
            effective_size=42.0,
            num_allowed=1,
            attainable_alpha=0.069,
            calibration_scores=scores,
        ),
        review=ReviewThreshold(
            value=0.62,
            attainable=True,
            target_risk=0.02,
            delta=0.1,
            coverage=0.88,
            risk=0.004,
            risk_bound=0.019,
            num_images=60,
            num_groups=30,
            design_effect=1.2,
        ),
    )


def make_evaluation(
    candidate: str = "cnn",
    split: Split = Split.TEST,
    *,
    splits: Splits | None = None,
    signal: float = 4.2,
    seed: int = 1,
) -> Evaluation:
    """An evaluation whose figures are computed from simulated probabilities and scores."""
    rng = np.random.default_rng(seed)
    splits = splits or make_splits(make_manifest())
    names, num = splits.class_names, len(splits.class_names)
    rows, unknown_rows = splits.rows(split), splits.rows(split, unknown=True)
    labels = splits.labels()[rows]
    logits = rng.normal(size=(rows.size, num)) * 1.2
    logits[np.arange(rows.size), labels] += signal
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    confidence, predicted = probs.max(axis=1), probs.argmax(axis=1)
    correct = predicted == labels
    classes = np.array(splits.image_classes)
    scores = rng.normal(size=rows.size)
    shift = {name: 0.4 + 1.4 * i for i, name in enumerate(splits.unknown_class_names)}
    unknown_scores = np.array([rng.normal(shift[classes[row]]) for row in unknown_rows])
    far_scores = {kind: rng.normal(6, 1, 40) for kind in FAR}
    decisions = _decide(scores, confidence)
    told = _known_answers(rows, labels, names, predicted, confidence, scores, decisions)
    return Evaluation(
        candidate=candidate,
        split=split.value,
        form="fp16" if split is Split.TEST else "keras",
        num_images=rows.size,
        num_groups=len(set(splits.group_array()[rows])),
        accuracy=around(float(correct.mean())),
        macro_f1=around(float(correct.mean()) - 0.01),
        weighted_f1=around(float(correct.mean())),
        nll=around(0.2),
        brier=around(0.1),
        ece=0.031,
        ece_floor=0.052,
        adaptive_ece=0.029,
        class_names=names,
        confusion=tuple(map(tuple, confusion_matrix(labels, predicted, labels=range(num)).tolist())),
        classes=_class_rows(names, labels, predicted, decisions),
        reliability=_reliability(confidence, correct),
        confidence_correct=_histogram(confidence[correct]),
        confidence_wrong=_histogram(confidence[~correct]),
        confidence_unknown=_histogram(rng.beta(4, 2, unknown_rows.size)),
        unknown=tuple(_unknown_rows(scores, unknown_scores, classes[unknown_rows], far_scores)),
        roc=tuple(_curves(scores, unknown_scores, far_scores)),
        rates=(
            _rates("known", decisions, float(np.mean(~correct[decisions == 0]))),
            _rates("near", _decide(unknown_scores, np.full(unknown_rows.size, 0.7))),
            _rates("far", np.full(160, 2)),
        ),
        mistakes=tuple(told[i] for i in sorted(np.flatnonzero(~correct), key=lambda i: -confidence[i])[:12]),
        examples=(
            *(told[i] for code in range(3) for i in np.flatnonzero(decisions == code)[:6]),
            *_unknown_answers(unknown_rows, unknown_scores, classes, names),
        ),
    )


def _decide(scores: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    return np.where(scores > 1.9, 2, np.where(confidence < 0.62, 1, 0))


def _histogram(confidence: np.ndarray) -> tuple[int, ...]:
    return tuple(int(v) for v in np.histogram(confidence, bins=20, range=(0, 1))[0])


def _class_rows(
    names: tuple[str, ...], labels: np.ndarray, predicted: np.ndarray, decisions: np.ndarray
) -> tuple[ClassRow, ...]:
    scores = precision_recall_fscore_support(labels, predicted, labels=range(len(names)), zero_division=0)
    rows = []
    for i, name in enumerate(names):
        own = decisions[labels == i]
        rows.append(
            ClassRow(
                class_name=name,
                precision=scores[0][i],
                recall=scores[1][i],
                f1=around(scores[2][i], 0.06),
                num_images=own.size,
                num_groups=own.size // 2,
                accepted=float(np.mean(own == 0)),
                reviewed=float(np.mean(own == 1)),
                called_unknown=float(np.mean(own == 2)),
            )
        )
    return tuple(rows)


def _reliability(confidence: np.ndarray, correct: np.ndarray) -> tuple[ReliabilityBin, ...]:
    edges = np.linspace(0, 1, 16)
    bins = []
    for low, high in pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        found = bool(inside.any())
        bins.append(
            ReliabilityBin(
                low=low,
                high=high,
                num_images=int(inside.sum()),
                confidence=float(confidence[inside].mean()) if found else float("nan"),
                accuracy=float(correct[inside].mean()) if found else float("nan"),
            )
        )
    return tuple(bins)


def _unknown_rows(
    known: np.ndarray, near: np.ndarray, classes: np.ndarray, far: dict[str, np.ndarray]
) -> list[UnknownRow]:
    rows = []
    sets = [("near", "all", near), *(("near", str(n), near[classes == n]) for n in sorted(set(classes)))]
    sets += [("far", "all", np.concatenate(list(far.values()))), *(("far", k, v) for k, v in far.items())]
    for score, blur in (("fwk", 0.0), ("msp", 0.9)):
        for kind, name, scores in sets:
            truth = np.r_[np.zeros(known.size), np.ones(scores.size)]
            area = float(roc_auc_score(truth, np.r_[known, scores * (1 - blur / 2)]))
            found = float(np.mean(scores > 1.9)) if score == "fwk" else float("nan")
            rows.append(
                UnknownRow(
                    class_name=name,
                    kind=kind,
                    score_name=score,
                    auroc=around(area, 0.05),
                    fpr_at_95_tpr=0.4,
                    found=found,
                    num_images=scores.size,
                )
            )
    return rows


def _curves(known: np.ndarray, near: np.ndarray, far: dict[str, np.ndarray]) -> list[RocCurve]:
    curves = []
    for kind, scores in (("near", near), ("far", np.concatenate(list(far.values())))):
        truth = np.r_[np.zeros(known.size), np.ones(scores.size)]
        for score, factor in (("fwk", 1.0), ("msp", 0.5)):
            false, true, _ = roc_curve(truth, np.r_[known, scores * factor])
            curves.append(
                RocCurve(
                    score_name=score,
                    kind=kind,
                    false_positive_rate=tuple(false.tolist()),
                    true_positive_rate=tuple(true.tolist()),
                )
            )
    return curves


def _rates(kind: str, decisions: np.ndarray, wrong: float = float("nan")) -> DecisionRates:
    shares = [around(float(np.mean(decisions == code)), 0.02) for code in range(3)]
    return DecisionRates(
        kind=kind,
        num_images=decisions.size,
        accepted=shares[0],
        reviewed=shares[1],
        called_unknown=shares[2],
        wrong_among_accepted=wrong,
        wrong_among_accepted_interval=None if np.isnan(wrong) else around(wrong, 0.02),
    )


def _answer(
    row: int, kind: str, true: str, predicted: str, confidence: float, score: float, code: int
) -> Answer:
    return Answer(
        row=int(row),
        kind=kind,
        true_class=str(true),
        class_name=str(predicted),
        confidence=float(confidence),
        unknown_score=float(score),
        decision=list(Decision)[int(code)],
    )


def _known_answers(
    rows: np.ndarray,
    labels: np.ndarray,
    names: tuple[str, ...],
    predicted: np.ndarray,
    confidence: np.ndarray,
    scores: np.ndarray,
    decisions: np.ndarray,
) -> list[Answer]:
    true, said = np.array(names)[labels], np.array(names)[predicted]
    columns = zip(rows, true, said, confidence, scores, decisions, strict=True)
    return [_answer(row, "known", *rest) for row, *rest in columns]


def _unknown_answers(
    rows: np.ndarray, scores: np.ndarray, classes: np.ndarray, names: tuple[str, ...]
) -> list[Answer]:
    near = [
        _answer(row, "near", classes[row], names[0], 0.7, score, 2 if score > 1.9 else 0)
        for row, score in list(zip(rows, scores, strict=True))[::3]
    ]
    return near + [_answer(i, "far", kind, names[1], 0.4, 6.0, 2) for kind in FAR for i in range(2)]

"""An example run: records as a real run leaves them, computed from simulated outputs of a fish classifier."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score, roc_curve

from report.story import LeftOut, RunStory
from vision.base.record import ImageArray, Interval
from vision.bundle.records import PrecisionReport, PrecisionRow
from vision.config.export import Precision
from vision.config.run import RunConfig
from vision.config.training import CandidateSettings
from vision.data.records import (
    ClassCount,
    DataFinding,
    DataReport,
    DuplicateGroup,
    ImageEntry,
    Manifest,
    QualitySummary,
    Quarantined,
    Split,
    Splits,
)
from vision.decision.records import Decision, DecisionRule, ReviewThreshold, Temperature, UnknownThreshold
from vision.evaluation.records import (
    Answer,
    CandidateRow,
    ClassRow,
    Comparison,
    DecisionRates,
    Difference,
    Evaluation,
    GainRow,
    Gains,
    ReliabilityBin,
    RocCurve,
    UnknownRow,
)
from vision.gate.records import GateCheck, Promotion, Registration, Verdict
from vision.training.records import EpochRecord, TrainingHistory

KNOWN = ("banded_dart", "blue_sailfin", "coral_grunter", "golden_damsel", "spotted_wrasse", "striped_goby")
UNKNOWN = ("false_wrasse", "ghost_goby", "moon_damsel")
FAR = ("noise", "blank", "letters", "textures")
COLUMNS = ("brightness", "contrast", "sharpness", "saturation", "entropy", "detail")
DIGEST = "c0ffee" * 10 + "c0ff"
PER_CLASS, PER_UNKNOWN = 60, 24


def around(value: float, half: float = 0.03) -> Interval:
    """An interval of some width around a value."""
    return Interval(value=value, low=value - half, high=min(1.0, value + half))


def make_config(path: Path = Path("fish")) -> RunConfig:
    """A configuration with two candidates on a folder of images."""
    return RunConfig.model_validate(
        {
            "name": "reef",
            "dataset": {"source": "folder", "path": str(path), "unknown_classes": list(UNKNOWN)},
            "training": {
                "candidates": {
                    "cnn": CandidateSettings(backbone="cnn"),
                    "residual": CandidateSettings(backbone="cnn_residual"),
                }
            },
        }
    )


def make_manifest(known: tuple[str, ...] = KNOWN, unknown: tuple[str, ...] = UNKNOWN) -> Manifest:
    """Images of known and held-out classes, two frames an individual."""
    entries = []
    for name in (*known, *unknown):
        for number in range(PER_UNKNOWN if name in unknown else PER_CLASS):
            path = f"{name}/{name}_{number // 2:03d}_frame{number % 2}.jpg"
            entries.append(
                ImageEntry(
                    path=path,
                    class_name=name,
                    digest=hashlib.sha256(path.encode()).hexdigest(),
                    num_bytes=9000,
                    width=320,
                    height=240,
                    group=f"{name}_{number // 2:03d}",
                    is_unknown=name in unknown,
                )
            )
    return Manifest(
        root="fish",
        source_digest="5d" * 32,
        class_names=known,
        unknown_class_names=unknown,
        entries=tuple(entries),
        quarantined=(Quarantined(path="banded_dart/cut_short.jpg", reason="the file ends too early"),),
    )


def make_splits(manifest: Manifest) -> Splits:
    """Whole individuals to splits, in turn; held-out classes to validation and test."""
    turn = [Split.TRAIN, Split.TRAIN, Split.TRAIN, Split.VALIDATION, Split.CALIBRATION, Split.TEST]
    splits = []
    for entry in manifest.entries:
        individual = int(entry.path.rsplit("_", 2)[1])
        splits.append(
            (Split.VALIDATION, Split.TEST)[individual % 2] if entry.is_unknown else turn[individual % 6]
        )
    return Splits(
        class_names=manifest.class_names,
        unknown_class_names=manifest.unknown_class_names,
        digests=tuple(entry.digest for entry in manifest.entries),
        groups=tuple(entry.group or entry.path for entry in manifest.entries),
        image_classes=tuple(entry.class_name for entry in manifest.entries),
        splits=tuple(splits),
    )


def make_data_report(manifest: Manifest, splits: Splits) -> DataReport:
    """Counts as they are, quality and findings made up."""
    counts = []
    classes, groups = np.array(splits.image_classes), splits.group_array()
    for name in (*manifest.class_names, *manifest.unknown_class_names):
        for split in Split:
            rows = np.flatnonzero((classes == name) & np.array([own is split for own in splits.splits]))
            counts.append(
                ClassCount(
                    class_name=name,
                    split=split.value,
                    num_images=rows.size,
                    num_groups=len(set(groups[rows])),
                    is_unknown=name in manifest.unknown_class_names,
                )
            )
    rng = np.random.default_rng(3)
    quality = []
    for name in manifest.class_names:
        for column in COLUMNS:
            middle = float(rng.normal(0.5, 0.05))
            quality.append(
                QualitySummary(
                    class_name=name,
                    column=column,
                    mean=middle,
                    p05=middle - 0.2,
                    median=middle,
                    p95=middle + 0.15,
                )
            )
    return DataReport(
        num_images=len(manifest.entries),
        num_groups=len(set(splits.groups)),
        class_counts=tuple(counts),
        quality=tuple(quality),
        quarantined=manifest.quarantined,
        duplicates=(DuplicateGroup(digest="ab" * 32, paths=("a/1.jpg", "a/2.jpg")),),
        findings=(
            DataFinding(severity="warning", message="1 file could not be decoded and is left out."),
            DataFinding(severity="info", message="Two files hold the same bytes; they share a split."),
        ),
    )


def make_history(candidate: str = "cnn", *, epochs: int = 14) -> TrainingHistory:
    """A training that improves and then overfits a little."""
    steps = np.arange(1, epochs + 1)
    return TrainingHistory(
        candidate=candidate,
        backbone="cnn" if candidate == "cnn" else "cnn_residual",
        strategy="full",
        epochs=tuple(
            EpochRecord(
                epoch=int(step),
                phase="full",
                loss=float(2 * np.exp(-step / 4)),
                accuracy=float(1 - 0.8 * np.exp(-step / 3)),
                validation_loss=float(1.9 * np.exp(-step / 4) + 0.01 * step + 0.05 * np.sin(step)),
                validation_accuracy=float(0.96 - 0.8 * np.exp(-step / 3.3)),
                learning_rate=1e-3,
            )
            for step in steps
        ),
        best_epoch=max(1, epochs - 3),
        num_train_images=1200,
        seconds=61.0,
        images_per_second=275.0,
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
        confusion=tuple(
            tuple(map(int, row)) for row in confusion_matrix(labels, predicted, labels=range(num))
        ),
        classes=_class_rows(names, labels, predicted, decisions),
        reliability=_reliability(confidence, correct),
        confidence_correct=_histogram(confidence[correct]),
        confidence_wrong=_histogram(confidence[~correct]),
        confidence_unknown=_histogram(rng.beta(4, 2, unknown_rows.size)),
        unknown=tuple(_unknown_rows(scores, unknown_scores, classes[unknown_rows], far_scores)),
        roc=tuple(_curves(scores, unknown_scores, far_scores)),
        rates=(
            _rates(
                "known",
                decisions,
                float(np.mean(~correct[decisions == 0])) if (decisions == 0).any() else 0.0,
            ),
            _rates("near", _decide(unknown_scores, np.full(unknown_rows.size, 0.7))),
            _rates("far", np.full(160, 2)),
        ),
        mistakes=tuple(
            _answer(
                rows[i],
                "known",
                names[labels[i]],
                names[predicted[i]],
                confidence[i],
                scores[i],
                decisions[i],
            )
            for i in sorted(np.flatnonzero(~correct), key=lambda i: -confidence[i])[:12]
        ),
        examples=tuple(_examples(rows, labels, names, predicted, confidence, scores, decisions))
        + tuple(
            _answer(row, "near", classes[row], names[0], 0.7, score, 2 if score > 1.9 else 0)
            for row, score in list(zip(unknown_rows, unknown_scores, strict=True))[::3]
        )
        + tuple(_answer(i, "far", kind, names[1], 0.4, 6.0, 2) for kind in FAR for i in range(2)),
    )


def make_comparison(first: Evaluation, second: Evaluation) -> Comparison:
    """Two candidates, the first wins."""
    rows = tuple(
        CandidateRow(
            candidate=each.candidate,
            backbone=each.candidate,
            accuracy=each.accuracy,
            macro_f1=each.macro_f1,
            nll=each.nll,
            ece=each.ece,
            unknown_auroc=0.83,
            num_parameters=parameters,
        )
        for each, parameters in ((first, 1_234_567), (second, 456_789))
    )
    gain = first.accuracy.value - second.accuracy.value
    return Comparison(
        metric="accuracy",
        winner=first.candidate,
        reason=f"{first.candidate} has the highest validation accuracy; the difference is certain.",
        candidates=rows,
        differences=(
            Difference(
                metric="accuracy",
                first=first.candidate,
                second=second.candidate,
                difference=Interval(value=gain, low=gain - 0.02, high=gain + 0.02),
            ),
            Difference(
                metric="macro_f1",
                first=first.candidate,
                second=second.candidate,
                difference=Interval(value=0.01, low=-0.02, high=0.03),
            ),
        ),
    )


def make_precisions() -> PrecisionReport:
    """fp16 keeps to the tolerance, int8 does not."""
    rows = tuple(
        PrecisionRow(
            precision=precision,
            num_bytes=size,
            decision_agreement=agreement,
            class_agreement=agreement,
            max_probability_difference=1 - agreement,
            mean_probability_difference=(1 - agreement) / 10,
            ece_difference=0.001,
            unknown_auroc_difference=0.0005,
            within_tolerance=not reasons,
            reasons=reasons,
        )
        for precision, size, agreement, reasons in (
            (Precision.FP32, 4_900_000, 1.0, ()),
            (Precision.FP16, 2_450_000, 0.999, ()),
            (Precision.INT8, 1_250_000, 0.93, ("decision disagreement is 0.0700, allowed 0.0500",)),
        )
    )
    return PrecisionReport(served=Precision.FP16, num_images=60, rows=rows, automatic=True)


def make_promotion(verdict: Verdict = Verdict.PROMOTED) -> Promotion:
    """The gate's checks and verdict."""
    passed = verdict is not Verdict.REFUSED
    return Promotion(
        verdict=verdict,
        bundle_digest=DIGEST,
        champion_digest=None,
        checks=(
            GateCheck(name="accuracy", passed=passed, message="lower bound 0.912, floor 0.500"),
            GateCheck(name="gain_over_majority", passed=True, message="lower bound +0.71, floor +0.05"),
            GateCheck(name="test_groups", passed=True, message="30 groups, at least 10 are needed"),
        ),
        reasons=("Every floor is cleared by the lower bound.",)
        if passed
        else ("accuracy is below its floor.",),
    )


def make_images(manifest: Manifest, size: int = 64) -> ImageArray:
    """Flat pictures with a coloured body, a colour for each class."""
    rng = np.random.default_rng(4)
    names = sorted({entry.class_name for entry in manifest.entries})
    colours = rng.integers(60, 255, size=(len(names), 3))
    images = np.full((len(manifest.entries), size, size, 3), (24, 70, 96), dtype=np.uint8)
    for row, entry in enumerate(manifest.entries):
        images[row, size // 3 : 2 * size // 3, size // 5 : 4 * size // 5] = colours[
            names.index(entry.class_name)
        ]
    return images


def make_gains() -> Gains:
    """Views that gain a little and an ensemble that loses."""
    rows = (
        ("one answer", 1, 0.0),
        ("4 views of each picture", 4, 0.02),
        ("all candidates: cnn, residual", 2, -0.05),
    )
    return Gains(
        num_images=360,
        num_groups=120,
        rows=tuple(
            GainRow(
                name=name,
                num_passes=passes,
                milliseconds=2.0 * passes,
                accuracy=around(0.9 + gain),
                nll=around(0.3 - gain),
                accuracy_gain=around(gain, 0.01),
                nll_gain=around(gain, 0.01),
                unknown_auroc={"near": 0.8, "far": 0.95},
                unknown_gains={"near": around(0.0, 0.01), "far": around(0.0, 0.01)},
            )
            for name, passes, gain in rows
        ),
    )


def make_story(images: ImageArray | None = None, manifest: Manifest | None = None) -> RunStory:
    """A whole run that ended in a promotion."""
    manifest = manifest or make_manifest()
    splits = make_splits(manifest)
    first = make_evaluation("cnn", Split.VALIDATION, splits=splits, seed=2)
    second = make_evaluation("residual", Split.VALIDATION, splits=splits, signal=3.0, seed=3)
    rng = np.random.default_rng(9)
    return RunStory(
        run_name="reef-20260314-101500-123",
        config=make_config(),
        left_out=(LeftOut("mobilenet_v2", "no ImageNet weights in ~/.keras/models and no network"),),
        manifest=manifest,
        splits=splits,
        data_report=make_data_report(manifest, splits),
        histories=(make_history("cnn"), make_history("residual", epochs=9)),
        evaluations=(first, second),
        weights={"cnn": "trained from scratch", "residual": "trained from scratch"},
        comparison=make_comparison(first, second),
        gains=make_gains(),
        precision_report=make_precisions(),
        rule=make_rule(splits.class_names),
        test=make_evaluation("cnn", Split.TEST, splits=splits),
        promotion=make_promotion(),
        registration=Registration(model_name="reef", version="3", stage="production", bundle_digest=DIGEST),
        step_seconds={
            "ingest": 4.2,
            "train_cnn": 88.0,
            "train_residual": 71.5,
            "export": 12.1,
            "promote": 0.6,
        },
        orchestration_seconds=11.2,
        machine={
            "processor": "Xeon",
            "instructions": "avx2",
            "threads": 2,
            "onednn": True,
            "platform": "Linux",
        },
        versions={"python": "3.11.9", "tensorflow": "2.20.0", "numpy": "2.4.6"},
        images=make_images(manifest) if images is None else images,
        far_images={
            kind: dict(enumerate(rng.integers(0, 255, size=(40, 64, 64, 3), dtype=np.uint8))) for kind in FAR
        },
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
        class_name=predicted,
        confidence=float(confidence),
        unknown_score=float(score),
        decision=list(Decision)[int(code)],
    )


def _examples(
    rows: np.ndarray,
    labels: np.ndarray,
    names: tuple[str, ...],
    predicted: np.ndarray,
    confidence: np.ndarray,
    scores: np.ndarray,
    decisions: np.ndarray,
) -> list[Answer]:
    chosen = [i for code in range(3) for i in np.flatnonzero(decisions == code)[:6]]
    return [
        _answer(
            rows[i], "known", names[labels[i]], names[predicted[i]], confidence[i], scores[i], decisions[i]
        )
        for i in chosen
    ]

"""An example run: records as a real run leaves them, computed from simulated outputs of a fish classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from report.story import LeftOut, RunStory
from tests.example_data import DIGEST, FAR, around, make_config, make_data_report, make_manifest, make_splits
from tests.example_evaluation import make_evaluation, make_rule
from vision.base.record import ImageArray, Interval
from vision.bundle.records import PrecisionReport, PrecisionRow
from vision.config.export import Precision
from vision.data.records import (
    Manifest,
    Split,
)
from vision.evaluation.records import (
    CandidateRow,
    Comparison,
    Difference,
    Evaluation,
    GainRow,
    Gains,
)
from vision.gate.records import GateCheck, Promotion, Registration, Verdict
from vision.training.records import EpochRecord, TrainingHistory


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


def evaluated(story: RunStory) -> Evaluation:
    """The evaluation on test of a story that has one."""
    assert story.test is not None
    return story.test


def with_test(
    story: RunStory, known: Mapping[str, object] = MappingProxyType({}), **changes: object
) -> RunStory:
    """The story with another evaluation on test; `known` changes what known images are answered."""
    test = evaluated(story)
    rates = {"rates": (test.rates[0].model_copy(update=known), *test.rates[1:])} if known else {}
    return replace(story, test=test.model_copy(update=rates | changes))

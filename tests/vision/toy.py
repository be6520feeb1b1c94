"""Small hand-made values that several tests share."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vision.base.outputs import ModelOutputs
from vision.base.record import FloatArray, IntArray, Interval
from vision.bundle.records import Contract
from vision.config.export import Precision
from vision.data.quality import QUALITY_COLUMNS
from vision.data.records import Split, Splits
from vision.decision.formulas import measure_msp
from vision.decision.held_out import HeldOut
from vision.decision.records import (
    DecisionRule,
    OodDetector,
    ReviewThreshold,
    Temperature,
    UnknownThreshold,
)
from vision.decision.scores import OodScore


def make_msp(num_classes: int) -> OodDetector:
    """A detector of which only the widths are read: maximum softmax needs nothing else; width as classes."""
    return OodDetector(
        score_name="msp",
        arrays={
            "fdbd_inverse_distances": np.zeros((num_classes, num_classes), dtype=np.float32),
            "embedding_mean": np.zeros(num_classes, dtype=np.float32),
        },
    )


MSP = make_msp(2)


def make_splits(rows: list[tuple[str, str, Split | None]], known: tuple[str, ...]) -> Splits:
    """Splits from (class, group, split) rows; classes that are not known are held out."""
    return Splits(
        class_names=known,
        unknown_class_names=tuple(sorted({name for name, _, _ in rows} - set(known))),
        digests=tuple(f"digest{i}" for i in range(len(rows))),
        groups=tuple(group for _, group, _ in rows),
        image_classes=tuple(name for name, _, _ in rows),
        splits=tuple(split for _, _, split in rows),
    )


def make_outputs(logits: list[list[float]], rows: list[int] | None = None) -> ModelOutputs:
    """Outputs whose embedding is the logits themselves (identity head)."""
    values = np.array(logits, dtype=np.float32)
    width = values.shape[1]
    return ModelOutputs(
        rows=np.arange(len(values)) if rows is None else np.array(rows),
        logits=values,
        embeddings=values,
        quality=np.zeros((len(values), len(QUALITY_COLUMNS)), dtype=np.float32),
        kernel=np.eye(width, dtype=np.float32),
        bias=np.zeros(width, dtype=np.float32),
    )


def make_held_out(logits: FloatArray, labels: IntArray, groups: Sequence[str] | None = None) -> HeldOut:
    """Images (m, k) as held-out answers, each its own group unless told otherwise; scored by MSP."""
    values = np.asarray(logits, np.float32)
    names = [f"group{i}" for i in range(len(values))] if groups is None else list(groups)
    return HeldOut(
        rows=np.arange(len(values)),
        logits=values,
        labels=np.asarray(labels),
        groups=np.array(names),
        for_rule=np.ones(len(values), bool),
        scores={OodScore.MSP: measure_msp(values)},
    )


def make_rule(
    known: tuple[str, ...],
    *,
    unknown_above: float = -0.5,
    review_below: float = 0.8,
    temperature: float = 1.0,
) -> DecisionRule:
    """A rule with the thresholds given; both promises attainable."""
    gain = Interval(value=0.0, low=0.0, high=0.0)
    return DecisionRule(
        class_names=known,
        temperature=Temperature(
            value=temperature,
            applied=temperature != 1.0,
            fitted_value=temperature,
            nll_before=1.0,
            nll_after=1.0,
            gain=gain,
            num_images=10,
            num_groups=10,
        ),
        unknown=UnknownThreshold(
            score_name="msp",
            value=unknown_above,
            attainable=True,
            alpha=0.05,
            delta=0.05,
            num_images=4,
            num_groups=4,
            design_effect=1.0,
            effective_size=4.0,
            num_allowed=0,
            attainable_alpha=0.05,
            calibration_scores=(-1.0, -0.9, -0.8, -0.7),
        ),
        review=ReviewThreshold(
            value=review_below,
            attainable=True,
            target_risk=0.02,
            delta=0.1,
            coverage=0.9,
            risk=0.0,
            risk_bound=0.02,
            num_images=4,
            num_groups=4,
            design_effect=1.0,
        ),
    )


def make_contract(rule: DecisionRule, **changes: Any) -> Contract:
    """The contract of a bundle with this rule, its files not yet listed."""
    fields: dict[str, Any] = {
        "name": "toy",
        "candidate": "tiny",
        "backbone": "none",
        "class_names": rule.class_names,
        "unknown_class_names": (),
        "image_size": 32,
        "resize": "pad",
        "precision": Precision.FP32,
        "rule": rule,
        "score_name": rule.unknown.score_name,
        "quality_columns": QUALITY_COLUMNS,
        "files": {},
        "data_digest": "0" * 64,
        "versions": {},
    }
    return Contract(**(fields | changes))

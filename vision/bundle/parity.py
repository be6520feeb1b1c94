"""How far an exported graph strays from the trained network on the same images, by the same rule.

Both are judged with the rule fitted on the trained network, so that what differs is the numerics alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vision.base.errors import ToleranceError
from vision.base.outputs import ModelOutputs
from vision.base.record import ImageArray
from vision.bundle.engine import Engine, run_engine
from vision.bundle.records import ExportedGraphs, PrecisionReport, PrecisionRow
from vision.config.export import Precision, ToleranceSettings
from vision.data.labelled import Labelled, at_rows, select
from vision.data.records import Split, Splits
from vision.decision.predictor import Decisions, decide
from vision.decision.records import DecisionRule, OodDetector
from vision.decision.served import Served
from vision.evaluation.metrics import auroc, ece


@dataclass(frozen=True, eq=False)
class Side:
    """One network's view of the validation split: known images, and held-out unknown ones or None."""

    known: Labelled
    unknown: Labelled | None


def check_graphs(
    graphs: ExportedGraphs,
    precision: Precision,
    trained: Served,
    images: ImageArray,
    splits: Splits,
    tolerance: ToleranceSettings,
) -> PrecisionReport:
    """Every exported precision against the trained network on the validation split.

    Args:
        graphs: the exported graphs.
        precision: the one named for serving.
        trained: the trained network's outputs, validation among them, and what was fitted on them.
        images: (n, s, s, 3) uint8, may be memory-mapped.
        splits: says which rows are validation.
        tolerance: largest differences.
    """
    known = splits.rows(Split.VALIDATION)
    unknown = splits.rows(Split.VALIDATION, unknown=True)
    rows = np.sort(np.concatenate([known, unknown]))
    reference = _side(trained.outputs, splits)

    def check(each: Precision) -> PrecisionRow:
        num_bytes = graphs.path(ExportedGraphs.file_name(each)).stat().st_size
        if each in graphs.unusable:
            return describe_unusable(each, num_bytes, graphs.unusable[each])
        outputs = run_engine(Engine.of(graphs, each), images, rows)
        if not (np.isfinite(outputs.logits).all() and np.isfinite(outputs.embeddings).all()):
            return describe_unusable(each, num_bytes, "its outputs are not finite on validation images")
        exported = _side(outputs, splits)
        return compare_precision(
            each, num_bytes, reference, exported, trained.rule, trained.detector, tolerance
        )

    precisions = [each for each in Precision if ExportedGraphs.file_name(each) in graphs.files]
    return PrecisionReport(
        served=precision, num_images=len(known), rows=tuple(check(each) for each in precisions)
    )


def compare_precision(
    precision: Precision,
    num_bytes: int,
    trained: Side,
    exported: Side,
    rule: DecisionRule,
    detector: OodDetector,
    tolerance: ToleranceSettings,
) -> PrecisionRow:
    """One exported precision against the trained network, on validation.

    Args:
        precision: which.
        num_bytes: size of the graph's file.
        trained: the trained network's outputs.
        exported: the graph's outputs, same rows in the same order.
        rule: fitted on the trained network.
        detector: fitted on the trained network.
        tolerance: largest differences; one beyond it puts the precision out of tolerance.

    Raises:
        ValueError: the two sides hold different rows.
    """
    if not np.array_equal(trained.known.outputs.rows, exported.known.outputs.rows):
        raise ValueError("The trained and the exported outputs are of different rows; expected the same.")
    first, second = _decide(trained.known, rule, detector), _decide(exported.known, rule, detector)
    labels = trained.known.labels
    differences = np.abs(first.probs - second.probs).max(axis=1)
    disagreement = float(np.mean(first.decisions != second.decisions))
    mean, largest = float(differences.mean()), float(differences.max())
    ece_change = abs(_ece(first, labels) - _ece(second, labels))
    auroc_change = _auroc_difference(trained, exported, first, second, rule, detector)
    measured = {
        "decision_disagreement": disagreement,
        "mean_probability_difference": mean,
        "max_probability_difference": largest,
        "ece_difference": ece_change,
        "unknown_auroc_difference": auroc_change,
    }
    reasons = tuple(
        f"{name.replace('_', ' ')} is {value:.4f}, allowed {getattr(tolerance, name):.4f}"
        for name, value in measured.items()
        if value is not None and not value <= getattr(tolerance, name)
    )
    return PrecisionRow(
        precision=precision,
        num_bytes=num_bytes,
        decision_agreement=1.0 - disagreement,
        class_agreement=float(np.mean(first.classes == second.classes)),
        max_probability_difference=largest,
        mean_probability_difference=mean,
        ece_difference=ece_change,
        unknown_auroc_difference=auroc_change,
        within_tolerance=not reasons,
        reasons=reasons,
    )


def describe_unusable(precision: Precision, num_bytes: int, reason: str) -> PrecisionRow:
    """The row of a precision that gives no usable outputs: out of tolerance, with nothing measured."""
    unmeasured = float("nan")
    return PrecisionRow(
        precision=precision,
        num_bytes=num_bytes,
        runs=False,
        decision_agreement=unmeasured,
        class_agreement=unmeasured,
        max_probability_difference=unmeasured,
        mean_probability_difference=unmeasured,
        ece_difference=unmeasured,
        unknown_auroc_difference=None,
        within_tolerance=False,
        reasons=(f"it cannot be used: {reason}",),
    )


def require_served(report: PrecisionReport) -> PrecisionReport:
    """The report, if the precision named for serving keeps to the tolerance.

    Raises:
        ToleranceError: it does not, or cannot be run.
    """
    row = next(row for row in report.rows if row.precision is report.served)
    if not row.runs:
        raise ToleranceError(
            f"The exported {report.served} graph cannot be served: {'; '.join(row.reasons)}. Nothing was "
            "registered. Name another precision in export.precision. int8 is known to fail where a network's "
            "features vanish: look at its training as well."
        )
    if not row.within_tolerance:
        raise ToleranceError(
            f"The exported {report.served} graph strays from the trained network on {report.num_images} "
            f"validation images: {'; '.join(row.reasons)}. Nothing was registered. Name another precision in "
            f"export.precision, or widen export.tolerance if the difference is acceptable."
        )
    return report


def _side(outputs: ModelOutputs, splits: Splits) -> Side:
    unknown = splits.rows(Split.VALIDATION, unknown=True)
    return Side(
        known=select(outputs, splits, Split.VALIDATION),
        unknown=at_rows(outputs, splits, unknown) if len(unknown) else None,
    )


def _decide(side: Labelled, rule: DecisionRule, detector: OodDetector) -> Decisions:
    outputs = side.outputs
    return decide(rule, detector, outputs.logits, outputs.embeddings, outputs.quality)


def _ece(decisions: Decisions, labels: np.ndarray) -> float:
    return ece(decisions.confidence, decisions.classes == labels)


def _auroc_difference(
    trained: Side,
    exported: Side,
    first: Decisions,
    second: Decisions,
    rule: DecisionRule,
    detector: OodDetector,
) -> float | None:
    """None where there are no held-out images to measure it on."""
    if trained.unknown is None or exported.unknown is None:
        return None
    before = auroc(first.scores, _decide(trained.unknown, rule, detector).scores)
    after = auroc(second.scores, _decide(exported.unknown, rule, detector).scores)
    return abs(before - after)

"""Whether an exported graph may stand for the trained network: the same images, by the same rule.

Both are judged with the rule fitted on the trained network, so that what differs is the numerics alone.
"""

from __future__ import annotations

import numpy as np

from vision.base.errors import ToleranceError
from vision.base.outputs import ModelOutputs
from vision.base.record import ImageArray
from vision.bundle.differences import Answered, Draws, measure_differences
from vision.bundle.engine import Engine, run_engine
from vision.bundle.records import ExportedGraphs, PrecisionReport, PrecisionRow
from vision.bundle.speed import time_engines
from vision.config.export import (
    AUTO_ORDER,
    FASTER,
    ExportSettings,
    Precision,
    PrecisionChoice,
    ToleranceSettings,
)
from vision.data.labelled import rows_of
from vision.data.records import Split, Splits
from vision.decision.served import Served

ENGINE_EQUALITY = 0.01
"""Largest difference of a probability between two engines with the same float32 weights."""


def run_graphs(graphs: ExportedGraphs, images: ImageArray, splits: Splits) -> dict[str, ModelOutputs]:
    """Precision -> what its graph says of validation, known and held-out images; of those that can be run.

    The images are (n, s, s, 3) uint8, and may be memory-mapped.
    """
    rows = rows_of(splits, Split.VALIDATION)
    usable = [each for each in graphs.precisions if each not in graphs.unusable]
    return {each.value: run_engine(Engine.of(graphs, each), images, rows) for each in usable}


def check_graphs(
    graphs: ExportedGraphs,
    exported: dict[str, ModelOutputs],
    trained: Served,
    splits: Splits,
    settings: ExportSettings,
    draws: Draws,
) -> PrecisionReport:
    """Every exported precision against the trained network on validation, and which one is served.

    `exported` is what `run_graphs` gives, `trained` the trained network on validation among others.
    """
    reference = Answered.of(trained, splits)

    def check(each: Precision) -> PrecisionRow:
        num_bytes = graphs.path(ExportedGraphs.file_name(each)).stat().st_size
        if each in graphs.unusable:
            return describe_unusable(each, num_bytes, graphs.unusable[each])
        outputs = exported[each.value]
        given = [each for each in (outputs.logits, outputs.embeddings, outputs.early) if each is not None]
        if not all(np.isfinite(each).all() for each in given):
            return describe_unusable(each, num_bytes, "its outputs are not finite on validation images")
        answers = Answered.of(Served(outputs, trained.rule, trained.detector), splits)
        return compare_precision(each, num_bytes, reference, answers, draws, settings.tolerance)

    rows = tuple(check(each) for each in graphs.precisions)
    if any(row.precision is Precision.INT8 and row.runs for row in rows):
        rows = _add_times(graphs, rows)
    return PrecisionReport(
        served=choose_precision(settings, rows),
        num_images=len(reference.correct),
        rows=rows,
        automatic=settings.automatic,
        fastest=settings.precision is PrecisionChoice.FASTEST,
    )


def compare_precision(
    precision: Precision,
    num_bytes: int,
    trained: Answered,
    exported: Answered,
    draws: Draws,
    tolerance: ToleranceSettings,
) -> PrecisionRow:
    """One exported precision against the trained network, on validation.

    fp32 and ONNX have the network's own weights: they must compute the same; no tolerance judges them. Both
    have answered the same images in the same order. A difference whose lower bound lies beyond its tolerance
    puts the precision out.
    """
    measured = measure_differences(trained, exported, draws)
    largest = measured["max_probability_difference"].value
    if precision not in (Precision.FP32, Precision.ONNX):
        reasons = [
            f"{name.replace('_', ' ')} is {each.value:.4f}, at least {each.low:.4f} with chance allowed for; "
            f"allowed {getattr(tolerance, name):.4f}"
            for name, each in measured.items()
            if each.low > getattr(tolerance, name)
        ]
    elif largest > ENGINE_EQUALITY:
        reasons = [
            f"max probability difference is {largest:.4f}, expected at most {ENGINE_EQUALITY} of equal "
            "weights; the conversion changed what the network computes"
        ]
    else:
        reasons = []
    auroc = measured.get("unknown_auroc_difference")
    return PrecisionRow(
        precision=precision,
        num_bytes=num_bytes,
        decision_agreement=1.0 - measured["decision_disagreement"].value,
        class_agreement=float(np.mean(trained.known.classes == exported.known.classes)),
        max_probability_difference=largest,
        mean_probability_difference=measured["mean_probability_difference"].value,
        ece_difference=measured["ece_difference"].value,
        unknown_auroc_difference=auroc.value if auroc else None,
        within_tolerance=not reasons,
        reasons=tuple(reasons),
        lower_bounds={name: each.low for name, each in measured.items()},
    )


def choose_precision(settings: ExportSettings, rows: tuple[PrecisionRow, ...]) -> Precision:
    """The named precision; without one the first of `AUTO_ORDER` within tolerance, or else the last.

    `fastest` takes int8 instead where that keeps to the tolerance and answers in `FASTER` of the time.
    """
    if not settings.automatic:
        return Precision(settings.precision)
    within = {row.precision for row in rows if row.within_tolerance}
    served = next((each for each in AUTO_ORDER if each in within), AUTO_ORDER[-1])
    times = {row.precision: row.milliseconds for row in rows if row.milliseconds is not None}
    if settings.precision is PrecisionChoice.FASTEST and Precision.INT8 in within and served in within:
        pays = times[Precision.INT8] <= FASTER * times[served]
        return Precision.INT8 if pays else served
    return served


def _add_times(graphs: ExportedGraphs, rows: tuple[PrecisionRow, ...]) -> tuple[PrecisionRow, ...]:
    """The rows with what each TFLite graph that runs takes for an image of noise, in turn."""
    engines: dict[Precision, Engine] = {
        row.precision: Engine.of(graphs, row.precision)
        for row in rows
        if row.runs and row.precision is not Precision.ONNX
    }
    size = graphs.image_size
    times = time_engines(engines, np.random.default_rng(0).integers(0, 256, (4, size, size, 3), np.uint8))
    return tuple(row.model_copy(update={"milliseconds": times.get(row.precision)}) for row in rows)


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


def require_served(report: PrecisionReport) -> Precision:
    """The precision to serve, if it keeps to the tolerance.

    Raises:
        ToleranceError: it does not, or cannot be run.
    """
    row = next(row for row in report.rows if row.precision is report.served)
    reasons = "; ".join(row.reasons)
    if row.within_tolerance:
        return report.served
    if report.automatic:
        of_all = (
            f"{row.precision}: {', '.join(row.reasons)}" for row in report.rows if row.precision in AUTO_ORDER
        )
        raise ToleranceError(
            f"Neither exported graph can stand for the trained network: {'; '.join(of_all)}. Nothing was "
            "registered. Look at the winner's training: features or logits that overflow do this."
        )
    if not row.runs:
        raise ToleranceError(
            f"The exported {report.served} graph cannot be served: {reasons}. Nothing was registered. Set "
            "export.precision=auto, which serves one that can. int8 is known to fail where a network's "
            "features vanish: look at its training as well."
        )
    raise ToleranceError(
        f"The exported {report.served} graph strays from the trained network on {report.num_images} "
        f"validation images: {reasons}. Nothing was registered. Set export.precision=auto, which serves fp32 "
        "then and trains nothing again, or widen export.tolerance if the difference is acceptable."
    )

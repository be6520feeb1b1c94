import dataclasses
import math

import numpy as np
import pytest

from report.figures.choice import tabulate_precisions
from tests.vision.toy import MSP, make_outputs, make_rule, make_splits
from vision.base.errors import ToleranceError
from vision.base.outputs import ModelOutputs
from vision.bundle.parity import Side, compare_precision, describe_unusable, require_served
from vision.bundle.records import PrecisionReport, PrecisionRow
from vision.config.export import Precision, ToleranceSettings
from vision.data.labelled import select
from vision.data.records import Split

NAMES = ("bream", "chub")
ROWS: list[tuple[str, str, Split | None]] = [
    *[(NAMES[i % 2], f"g{i}", Split.VALIDATION) for i in range(8)],
    *[("burbot", "u", Split.VALIDATION)] * 2,
]
SPLITS = make_splits(ROWS, known=NAMES)
LOGITS = [[4.0, 0.0] if i % 2 == 0 else [0.0, 4.0] for i in range(8)] + [[0.2, 0.0], [0.0, 0.1]]

WIDE = ToleranceSettings(mean_probability_difference=0.5)


def side(outputs: ModelOutputs) -> Side:
    return Side(
        known=select(outputs, SPLITS, Split.VALIDATION),
        unknown=select(outputs, SPLITS, Split.VALIDATION, unknown=True),
    )


def row_of(logits: list[list[float]], tolerance: ToleranceSettings | None = None) -> PrecisionRow:
    return compare_precision(
        Precision.FP16,
        1000,
        side(make_outputs(LOGITS)),
        side(make_outputs(logits)),
        make_rule(NAMES),
        MSP,
        tolerance or ToleranceSettings(),
    )


LESS_SURE = 1 / (1 + math.exp(-4)) - 1 / (1 + math.exp(-3))
"""What a probability loses where the larger logit is 3 instead of 4."""


def test_a_lost_calibration_alone_is_caught() -> None:
    row = row_of([[0.75 * each for each in logits] for logits in LOGITS], WIDE)
    assert row.ece_difference == pytest.approx(LESS_SURE)  # all are right, in the last bin before and after
    assert row.reasons == ("ece difference is 0.0294, allowed 0.0200",)
    assert not row.within_tolerance


def test_the_mean_difference_is_over_all_images() -> None:
    changed = [[3.0, 0.0], *LOGITS[1:]]
    row = row_of(changed, WIDE.model_copy(update={"mean_probability_difference": 0.003}))
    assert row.mean_probability_difference == pytest.approx(LESS_SURE / 8)
    assert row.reasons == ("mean probability difference is 0.0037, allowed 0.0030",)


def test_an_identical_graph_is_within_tolerance_with_zero_differences() -> None:
    row = row_of(LOGITS)
    assert row.within_tolerance
    assert (row.decision_agreement, row.class_agreement, row.max_probability_difference) == (1.0, 1.0, 0.0)
    assert (row.ece_difference, row.unknown_auroc_difference) == (0.0, 0.0)


def test_one_changed_answer_of_eight_is_beyond_tolerance_and_named() -> None:
    changed = [list(row) for row in LOGITS]
    changed[0] = [0.0, 4.0]
    row = row_of(changed)
    assert not row.within_tolerance
    assert row.class_agreement == pytest.approx(7 / 8)
    assert any(reason.startswith("max probability difference is") for reason in row.reasons)


def test_a_swapped_class_order_is_caught() -> None:
    row = row_of([[b, a] for a, b in LOGITS])
    assert row.class_agreement == 0.0
    assert not row.within_tolerance


def test_a_lost_unknown_auroc_alone_is_caught() -> None:
    changed = [list(row) for row in LOGITS]
    changed[8] = changed[9] = [4.0, 0.0]
    row = row_of(changed)
    assert row.max_probability_difference == 0.0
    assert row.unknown_auroc_difference == pytest.approx(0.5)
    assert not row.within_tolerance


def test_without_held_out_images_the_unknown_auroc_is_not_measured_and_not_judged() -> None:
    trained = dataclasses.replace(side(make_outputs(LOGITS)), unknown=None)
    strict = ToleranceSettings(unknown_auroc_difference=0.0)
    row = compare_precision(Precision.FP32, 1, trained, trained, make_rule(NAMES), MSP, strict)
    assert row.unknown_auroc_difference is None
    assert row.within_tolerance
    report = PrecisionReport(served=Precision.FP32, num_images=8, rows=(row,))
    assert "not measured" in tabulate_precisions(report)


def test_a_served_precision_beyond_tolerance_ends_the_run_with_its_reasons() -> None:
    row = row_of(LOGITS)
    broken = row.model_copy(update={"within_tolerance": False, "reasons": ("x",)})
    report = PrecisionReport(served=Precision.FP16, num_images=8, rows=(broken,))
    with pytest.raises(ToleranceError, match=r"fp16 graph strays .* 8 validation images: x\."):
        require_served(report)


def test_only_the_served_precision_must_keep_to_the_tolerance() -> None:
    good = row_of(LOGITS)
    bad = good.model_copy(update={"precision": Precision.INT8, "within_tolerance": False})
    report = PrecisionReport(served=Precision.FP16, num_images=8, rows=(good, bad))
    assert require_served(report) is report


def test_different_rows_are_refused() -> None:
    trained = side(make_outputs(LOGITS))
    other = dataclasses.replace(trained, known=select(make_outputs(LOGITS[:8]), SPLITS, Split.VALIDATION))
    shifted = dataclasses.replace(other.known.outputs, rows=np.asarray(other.known.outputs.rows) + 1)
    wrong = dataclasses.replace(other, known=dataclasses.replace(other.known, outputs=shifted))
    with pytest.raises(ValueError, match="different rows"):
        compare_precision(Precision.FP32, 1, trained, wrong, make_rule(NAMES), MSP, ToleranceSettings())


def test_a_precision_that_cannot_be_used_is_a_row_without_figures() -> None:
    row = describe_unusable(Precision.INT8, 900, "LiteRT died of SIGABRT")
    report = PrecisionReport(served=Precision.FP16, num_images=8, rows=(row_of(LOGITS), row))
    assert not row.within_tolerance
    assert PrecisionReport.model_validate_json(report.model_dump_json()).rows[1].runs is False
    assert "not run" in tabulate_precisions(report)
    assert "it cannot be used: LiteRT died of SIGABRT" in tabulate_precisions(report)
    assert require_served(report) is report


def test_a_served_precision_that_cannot_be_run_ends_the_run() -> None:
    row = describe_unusable(Precision.INT8, 900, "LiteRT died of SIGABRT")
    report = PrecisionReport(served=Precision.INT8, num_images=8, rows=(row,))
    with pytest.raises(ToleranceError, match=r"cannot be used: LiteRT died.*export.precision"):
        require_served(report)

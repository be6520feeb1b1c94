import math
from collections.abc import Sequence

import pytest

from report.figures.choice import tabulate_precisions
from tests.vision.toy import MSP, make_outputs, make_rule, make_splits
from vision.base.errors import ToleranceError
from vision.bundle.differences import Answered, Draws
from vision.bundle.parity import choose_precision, compare_precision, describe_unusable, require_served
from vision.bundle.records import PrecisionReport, PrecisionRow
from vision.config.evaluation import BootstrapSettings
from vision.config.export import ExportSettings, Precision, PrecisionChoice, ToleranceSettings
from vision.data.records import Split, Splits
from vision.decision.served import Served

NAMES = ("bream", "chub")
NUM = 88
BOOTSTRAP = BootstrapSettings(resamples=400)
NEVER = ToleranceSettings(**dict.fromkeys(ToleranceSettings.model_fields, 1.0))
Logits = list[list[float]]


def make_validation(group_size: int = 1, num_unknown: int = 20) -> Splits:
    known = [(NAMES[i % 2], f"g{i // group_size}", Split.VALIDATION) for i in range(NUM)]
    unknown = [("burbot", f"u{i}", Split.VALIDATION) for i in range(num_unknown)]
    return make_splits([*known, *unknown], known=NAMES)


LOGITS: Logits = [[4.0, 0.0] if i % 2 == 0 else [0.0, 4.0] for i in range(NUM)] + [[0.2, 0.0]] * 20


def changed(number: int, logits: Sequence[float]) -> Logits:
    """The first images of the first class answered otherwise."""
    return [list(logits) if i % 2 == 0 and i // 2 < number else each for i, each in enumerate(LOGITS)]


def row_of(
    logits: Logits,
    tolerance: ToleranceSettings | None = None,
    precision: Precision = Precision.FP16,
    splits: Splits | None = None,
) -> PrecisionRow:
    splits = splits or make_validation()
    trained, exported = (
        Answered.of(
            Served(make_outputs(each[: len(splits.digests)]), make_rule(NAMES, unknown_above=0.9), MSP),
            splits,
        )
        for each in (LOGITS, logits)
    )
    draws = Draws.of(splits, BOOTSTRAP, 0)
    return compare_precision(precision, 1000, trained, exported, draws, tolerance or ToleranceSettings())


def report_of(*rows: PrecisionRow, automatic: bool = True) -> PrecisionReport:
    settings = ExportSettings(precision=PrecisionChoice("auto" if automatic else rows[0].precision.value))
    served = choose_precision(settings, rows)
    return PrecisionReport(served=served, num_images=NUM, rows=rows, automatic=automatic)


LESS_SURE = 1 / (1 + math.exp(-4)) - 1 / (1 + math.exp(-3))
"""What a probability loses where the larger logit is 3 instead of 4."""


def test_an_identical_graph_is_within_every_tolerance_with_zero_differences() -> None:
    row = row_of(LOGITS, ToleranceSettings(**dict.fromkeys(ToleranceSettings.model_fields, 0.0)))
    assert row.within_tolerance
    assert (row.decision_agreement, row.class_agreement, row.max_probability_difference) == (1.0, 1.0, 0.0)
    assert (row.ece_difference, row.unknown_auroc_difference) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("name", "logits"),
    [
        ("decision_disagreement", changed(20, [1.0, 0.0])),
        ("mean_probability_difference", changed(44, [3.0, 0.0])),
        ("max_probability_difference", changed(20, [0.0, 4.0])),
        ("ece_difference", [[0.75 * each for each in logits] for logits in LOGITS]),
        ("unknown_auroc_difference", [*LOGITS[:NUM], *[[4.0, 0.0]] * 20]),
    ],
)
def test_each_difference_alone_puts_a_precision_out_of_tolerance(name: str, logits: Logits) -> None:
    strict = NEVER.model_copy(update={name: getattr(ToleranceSettings(), name)})
    row = row_of(logits, strict)
    assert [reason.split(" is ")[0] for reason in row.reasons] == [name.replace("_", " ")]
    assert not row.within_tolerance
    assert row_of(logits, NEVER).within_tolerance


def test_the_figures_are_those_of_all_images() -> None:
    row = row_of(changed(22, [3.0, 0.0]))
    assert row.mean_probability_difference == pytest.approx(LESS_SURE / 4)
    assert row.max_probability_difference == pytest.approx(LESS_SURE)
    assert row.ece_difference == pytest.approx(LESS_SURE / 4)  # all are right, in the last bin
    assert row_of(changed(22, [0.0, 4.0])).class_agreement == 0.75


@pytest.mark.parametrize(("number", "within"), [(1, True), (20, False)])
def test_one_changed_image_of_88_is_no_evidence_and_20_are(number: int, within: bool) -> None:
    row = row_of(changed(number, [0.0, 4.0]))
    assert row.max_probability_difference > 0.25
    assert row.within_tolerance is within


def test_a_change_within_one_group_is_no_evidence_however_many_images_it_has() -> None:
    assert not row_of(changed(11, [0.0, 4.0])).within_tolerance
    assert row_of(changed(11, [0.0, 4.0]), splits=make_validation(group_size=22)).within_tolerance


def test_images_of_one_group_alone_are_judged_singly() -> None:
    assert not row_of(changed(20, [0.0, 4.0]), splits=make_validation(group_size=NUM)).within_tolerance


def test_a_swapped_class_order_is_caught() -> None:
    row = row_of([[b, a] for a, b in LOGITS])
    assert row.class_agreement == 0.0
    assert not row.within_tolerance


def test_fp32_must_compute_the_same_and_no_tolerance_judges_it() -> None:
    strict = ToleranceSettings(max_probability_difference=0.0)
    nearly = [[a * 1.001, b] for a, b in LOGITS]
    assert row_of(nearly, strict, Precision.FP32).within_tolerance
    (reason,) = row_of(changed(1, [3.0, 0.0]), NEVER, Precision.FP32).reasons
    assert "conversion" in reason


def test_without_held_out_images_the_unknown_auroc_is_not_measured() -> None:
    row = row_of(LOGITS, splits=make_validation(num_unknown=0))
    assert row.unknown_auroc_difference is None
    assert row.within_tolerance
    assert "not measured" in tabulate_precisions(report_of(row))


UNUSABLE = describe_unusable(Precision.FP16, 900, "LiteRT died of SIGABRT")
FP32 = row_of(LOGITS, precision=Precision.FP32)
FP16 = row_of(LOGITS)
STRAYS = row_of(changed(20, [0.0, 4.0]))


@pytest.mark.parametrize(
    ("rows", "served", "words"),
    [
        ((FP32, FP16), Precision.FP16, "fp16"),
        ((FP32, STRAYS), Precision.FP32, "because fp16 strays"),
        ((FP32, UNUSABLE), Precision.FP32, "SIGABRT"),
    ],
)
def test_auto_serves_fp16_where_it_keeps_to_the_tolerance_else_fp32_and_says_so(
    rows: tuple[PrecisionRow, ...], served: Precision, words: str
) -> None:
    report = report_of(*rows)
    assert require_served(report) is served
    assert words in report.describe_choice()
    assert PrecisionReport.model_validate_json(report.model_dump_json()).served is served


def timed(row: PrecisionRow, milliseconds: float) -> PrecisionRow:
    return row.model_copy(update={"milliseconds": milliseconds})


INT8, INT8_STRAYS = (
    row.model_copy(update={"precision": Precision.INT8})
    for row in (FP16, row_of(changed(20, [0.0, 4.0]), precision=Precision.INT8))
)


@pytest.mark.parametrize(
    ("int8", "fp16", "served", "words"),
    [
        (timed(INT8, 4.4), timed(FP16, 5.0), Precision.INT8, "int8 4.4 ms, fp16 5.0 ms, fp32 6.0 ms"),
        (
            timed(INT8, 4.6),
            timed(FP16, 5.0),
            Precision.FP16,
            "not 10% faster here (int8 4.6 ms, fp16 5.0 ms)",
        ),
        (timed(INT8_STRAYS, 1.0), timed(FP16, 5.0), Precision.FP16, "int8 is not: mean probability"),
        (timed(INT8, 5.0), STRAYS, Precision.INT8, "fp16 not run"),
    ],
)
def test_fastest_serves_int8_where_it_keeps_to_the_tolerance_and_is_measured_faster(
    int8: PrecisionRow, fp16: PrecisionRow, served: Precision, words: str
) -> None:
    settings, rows = ExportSettings(precision=PrecisionChoice.FASTEST), (timed(FP32, 6.0), fp16, int8)
    chosen = choose_precision(settings, rows)
    report = PrecisionReport(served=chosen, num_images=88, rows=rows, automatic=True, fastest=True)
    assert require_served(report) is served
    assert words in report.describe_choice()
    assert choose_precision(ExportSettings(), rows) in (Precision.FP16, Precision.FP32)
    assert Precision.INT8 in settings.graphs().precisions


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ((STRAYS, timed(INT8, 1.0)), "speed is compared only where fp32 keeps to the tolerance"),
        ((FP32,), "because fp16 was not exported. int8 is not: it was not exported"),
    ],
)
def test_a_speed_that_was_not_asked_and_rows_that_lack_are_told_as_such(
    rows: tuple[PrecisionRow, ...], words: str
) -> None:
    report = PrecisionReport(served=Precision.FP32, num_images=88, rows=rows, automatic=True, fastest=True)
    assert words in report.describe_choice()


@pytest.mark.parametrize("row", [STRAYS, UNUSABLE])
def test_a_named_precision_that_cannot_be_served_ends_the_run_with_its_reasons(row: PrecisionRow) -> None:
    with pytest.raises(ToleranceError, match=r"fp16 graph .*export\.precision=auto") as caught:
        require_served(report_of(row, automatic=False))
    assert row.reasons[0] in str(caught.value)


def test_an_fp32_graph_that_computes_something_else_ends_the_run() -> None:
    wrong = row_of(changed(20, [0.0, 4.0]), precision=Precision.FP32)
    with pytest.raises(ToleranceError, match="conversion"):
        require_served(report_of(wrong, STRAYS))


def test_a_precision_that_was_only_measured_ends_nothing() -> None:
    int8 = STRAYS.model_copy(update={"precision": Precision.INT8})
    assert require_served(report_of(FP16, int8, automatic=False)) is Precision.FP16
    assert "not run" in tabulate_precisions(report_of(FP32, FP16, UNUSABLE))

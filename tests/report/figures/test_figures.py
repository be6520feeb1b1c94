"""Pictures of records are drawn for every record, whatever is missing in it, and say what they show."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from report.figures import Views, draw_views, style
from report.figures.style import DECISION_COLOURS, SPLIT_COLOURS, WIDTH
from report.figures.tables import markdown_table
from report.figures.training import draw_training_curves
from report.figures.truth import draw_confusion
from tests.example_data import make_data_report, make_manifest, make_splits
from tests.example_evaluation import make_evaluation, make_rule, make_temperature
from tests.example_story import make_comparison, make_history, make_precisions, make_promotion
from vision.base.record import Interval, Record
from vision.base.wording import shorten
from vision.bundle.records import Bundle, Deployment, PrecisionReport
from vision.data.records import POOLED, DataReport, Manifest, Split, Splits
from vision.decision.records import Decision, DecisionRule, Temperature
from vision.evaluation.records import Comparison, Evaluation
from vision.gate.records import Contradiction, Promotion, Registration
from vision.retraining.records import Consideration, NewImages, RetrainDecision, Trigger
from vision.training.records import TrainingHistory

NOTHING = Interval(value=math.nan, low=math.nan, high=math.nan)


def make_records() -> dict[type[Record], Record]:
    manifest = make_manifest()
    splits = make_splits(manifest)
    evaluation = make_evaluation()
    records: list[Record] = [
        manifest,
        splits,
        make_data_report(manifest, splits),
        make_history(),
        make_temperature(),
        make_rule(),
        evaluation,
        make_comparison(evaluation, make_evaluation("residual", signal=3.0)),
        make_precisions(),
        make_promotion(),
        Registration(model_name="reef", version="1", stage="production", bundle_digest="c0"),
    ]
    return {type(record): record for record in records}


RECORDS = make_records()
PICTURES: dict[type[Record], set[str]] = {
    Manifest: set(),
    Splits: set(),
    DataReport: {"class_counts.png", "quality.png"},
    TrainingHistory: {"training.png"},
    Temperature: {"temperature.png"},
    DecisionRule: {"rule.png"},
    Evaluation: {
        "rates.png",
        "classes.png",
        "confusion.png",
        "reliability.png",
        "confidence.png",
        "unknown_roc.png",
        "unknown_classes.png",
    },
    Comparison: {"candidates.png", "differences.png"},
    PrecisionReport: set(),
    Promotion: {"gate.png"},
    Registration: set(),
}


def open_png(content: bytes | str) -> Image.Image:
    assert isinstance(content, bytes)
    return Image.open(io.BytesIO(content))


def assert_whole(views: Views) -> None:
    """Every picture is a PNG of the full width that is not blank, every text has words."""
    for name, content in views.items():
        if name.endswith(".png"):
            image = open_png(content)
            assert image.format == "PNG"
            assert image.width == WIDTH * style.DOTS_PER_INCH
            assert np.asarray(image.convert("L")).std() > 1
        else:
            assert name.endswith(".md")
            assert isinstance(content, str)
            assert content.strip()


def make_minimal() -> list[Record]:
    """Records of runs in which next to nothing was there to draw."""
    evaluation, rule = make_evaluation(), make_rule(attainable=False)
    nothing_unknown = {"unknown": (), "roc": (), "rates": (), "confidence_unknown": (0,) * 20, "mistakes": ()}
    pooled = tuple(row for row in evaluation.unknown if row.class_name == POOLED)
    no_scores = rule.unknown.model_copy(update={"calibration_scores": (), "value": math.inf})
    return [
        evaluation.model_copy(update=nothing_unknown),
        evaluation.model_copy(update={"unknown": pooled}),
        make_history(epochs=0),
        make_history(epochs=1),
        DataReport(num_images=0, num_groups=0, class_counts=()),
        make_promotion().model_copy(update={"checks": (), "reasons": ()}),
        RECORDS[Comparison].model_copy(update={"differences": ()}),
        rule.model_copy(update={"unknown": no_scores}),
    ]


def make_unmeasured() -> list[Record]:
    """Records full of NaN, and one whose class names look like formulas."""
    evaluation, history = make_evaluation(), make_history()
    blank = {"accepted": NOTHING, "reviewed": NOTHING, "called_unknown": NOTHING}
    nan: dict[str, object] = {
        "classes": tuple(row.model_copy(update={"f1": NOTHING}) for row in evaluation.classes),
        "unknown": tuple(row.model_copy(update={"auroc": NOTHING}) for row in evaluation.unknown),
        "rates": tuple(row.model_copy(update=blank) for row in evaluation.rates),
        "macro_f1": NOTHING,
        "ece": math.nan,
        "reliability": (),
        "confusion": ((0,) * 6,) * 6,
    }
    epochs = tuple(
        epoch.model_copy(update={"phase": "head" if epoch.epoch < 6 else "all", "loss": math.nan})
        for epoch in history.epochs
    )
    strengths = tuple(
        epoch.model_copy(update={"phase": "head", "regularisation": 10.0**-epoch.epoch})
        for epoch in history.epochs[:5]
    )
    formulas = ("a$_$", "$\\frac$", "5$ to 9$", "b", "c", "d")
    named = tuple(
        row.model_copy(update={"class_name": name})
        for row, name in zip(evaluation.classes, formulas, strict=True)
    )
    return [
        evaluation.model_copy(update=nan),
        evaluation.model_copy(update={"class_names": formulas, "classes": named}),
        history.model_copy(update={"epochs": epochs}),
        history.model_copy(update={"epochs": strengths, "best_epoch": 5}),
        history.model_copy(update={"epochs": strengths + history.epochs[5:], "best_epoch": 5}),
    ]


@pytest.mark.parametrize(
    "record",
    [*RECORDS.values(), *make_minimal(), *make_unmeasured()],
    ids=lambda record: type(record).__name__,
)
def test_every_record_is_drawn_whole_minimal_or_unmeasured(record: Record) -> None:
    views = draw_views(record)
    assert_whole(views)
    assert isinstance(record, TrainingHistory) or any(name.endswith(".md") for name in views)
    assert {name for name in views if name.endswith(".png")} == PICTURES[type(record)]


def test_the_same_record_gives_the_same_bytes() -> None:
    record = RECORDS[TrainingHistory]
    assert draw_views(record) == draw_views(record)


def test_validation_draws_only_what_tells_most() -> None:
    views = draw_views(make_evaluation(split=Split.VALIDATION))
    assert set(views) == {"evaluation.md", "confusion.png", "unknown_classes.png"}


def test_training_curves_have_a_row_for_each_candidate() -> None:
    one = open_png(draw_training_curves([make_history()]))
    three = open_png(draw_training_curves([make_history()] * 3))
    assert three.height > 2 * one.height


@pytest.mark.parametrize("num", [1, 40])
def test_confusion_fits_one_and_forty_classes_with_long_names(num: int) -> None:
    names = tuple(f"a_species_with_a_very_long_scientific_name_{i}" for i in range(num))
    confusion = tuple(tuple(9 if i == j else int(j == i + 1) for j in range(num)) for i in range(num))
    evaluation = make_evaluation().model_copy(update={"class_names": names, "confusion": confusion})
    image = open_png(draw_confusion(evaluation))
    assert image.width == WIDTH * style.DOTS_PER_INCH
    assert image.height < image.width * 1.4


def test_answers_and_splits_have_colours_of_their_own() -> None:
    assert set(DECISION_COLOURS) == set(Decision)
    assert set(SPLIT_COLOURS) == set(Split)
    assert len({*DECISION_COLOURS.values(), *SPLIT_COLOURS.values()}) == 7


def test_a_bundle_lists_its_files_with_sizes(tmp_path: Path) -> None:
    (tmp_path / "fp16.tflite").write_bytes(b"x" * 1500)
    bundle = Bundle(root=tmp_path, files={"fp16.tflite": "ab" * 32, "gone.npz": "cd" * 32}, name="reef")
    text = draw_views(bundle)["files.md"]
    assert "| fp16.tflite | 1.5 kB | abababababababab |" in text
    assert "| gone.npz | not here |" in text


def test_quarantined_files_are_named_with_the_reason() -> None:
    text = draw_views(make_manifest())["manifest.md"]
    assert "| banded_dart/cut_short.jpg | the file ends too early |" in text


def test_splits_count_images_and_groups() -> None:
    text = draw_views(RECORDS[Splits])["splits.md"]
    assert "| train | 180 | 90 | 0 |" in text
    assert "| test | 60 | 30 | 36 |" in text


def test_precision_table_marks_what_is_served_and_says_why_another_is_refused() -> None:
    text = draw_views(make_precisions())["precisions.md"]
    assert "**fp16** (served)" in text
    assert "decision disagreement is 0.0700, allowed 0.0500" in text


def test_table_cells_cannot_break_the_table() -> None:
    assert markdown_table(("a",), [("x|y\nz",)]).splitlines()[-1] == "| x\\|y z |"


def test_names_are_not_read_as_html() -> None:
    name = "<img src=x onerror='a'> & co"
    shown = "&lt;img src=x onerror='a'&gt; &amp; co"
    assert markdown_table(("a",), [(name,)]).splitlines()[-1] == f"| {shown} |"
    report = make_records()[DataReport]
    assert isinstance(report, DataReport)
    finding = report.findings[0].model_copy(update={"message": name})
    text = draw_views(report.model_copy(update={"findings": (finding,)}))["findings.md"]
    assert isinstance(text, str)
    assert f": {shown}\n" in text
    promotion = make_promotion().model_copy(update={"reasons": (name,)})
    assert f"- {shown}\n" in str(draw_views(promotion)["verdict.md"])


def test_long_names_are_cut() -> None:
    assert shorten("a_b") == "a_b"
    assert shorten("a" * 20 + "b" * 20) == "a" * 11 + "…" + "b" * 12


def test_contradicted_labels_and_decisions_on_retraining_are_tabulated() -> None:
    contradiction = Contradiction(row=17, class_name="cod", answer="bream", confidence=0.97)
    promotion = RECORDS[Promotion].model_copy(update={"contradictions": (contradiction,)})
    table = draw_views(promotion)["contradictions.md"]
    assert isinstance(table, str)
    assert "| 17 | cod | bream | 0.970 |" in table
    decision = RetrainDecision(
        retrain=False,
        trigger=Trigger.DRIFT,
        reasons=("The budget is spent.",),
        champion_digest="old",
        new_images=NewImages(),
        considered=(Consideration(name="budget", speaks_for=False, message="4 of 4 are used."),),
    )
    text = draw_views(decision)["decision.md"]
    assert isinstance(text, str)
    assert text.startswith("## Do not retrain (asked by: drift)\n\n- The budget is spent.\n")
    assert "| budget | no | 4 of 4 are used. |" in text


def test_a_deployment_says_what_answers_where_and_how_it_agrees() -> None:
    text = draw_views(
        Deployment(
            model_name="reef",
            version="3",
            digest="d" * 64,
            bento="reef:1",
            url="http://127.0.0.1:3000",
            num_images=40,
            num_unknown_images=20,
            num_equal_decisions=40,
            max_probability_difference=2e-7,
            tolerance=1e-4,
        )
    )["deployment.md"]
    assert isinstance(text, str)
    assert "reef version 3 answers on http://127.0.0.1:3000" in text
    assert "Of 40 test images (20 of held-out classes)" in text
    assert "at most 2e-07 (allowed 0.0001)" in text

"""The view of each record: pictures where there are any, else a table of its scalars."""

from __future__ import annotations

from functools import singledispatch

from report.figures.choice import (
    draw_candidates,
    draw_differences,
    draw_gate,
    tabulate_candidates,
    tabulate_precisions,
)
from report.figures.data import draw_class_counts, draw_quality
from report.figures.drift import draw_drift, tabulate_drift
from report.figures.tables import escape_html, markdown_table, scalar_table
from report.figures.training import draw_temperature, draw_training_curves
from report.figures.truth import (
    draw_class_scores,
    draw_confidence,
    draw_confusion,
    draw_rates,
    draw_reliability,
    draw_rule,
)
from report.figures.unknowns import draw_unknown_classes, draw_unknown_roc
from report.formatting import format_bytes
from vision.base.record import FileSet, Record
from vision.base.wording import count_of
from vision.bundle.records import Deployment, PrecisionReport
from vision.data.account import size_splits, tell_remarks
from vision.data.records import DataReport, Manifest, Quarantined, Split, Splits
from vision.decision.records import DecisionRule, Temperature
from vision.drift.records import DriftReport
from vision.evaluation.records import Comparison, Evaluation
from vision.gate.records import Promotion
from vision.retraining.records import NewImages, RetrainDecision
from vision.training.records import TrainingHistory

Views = dict[str, bytes | str]
LONGEST_LIST = 20


@singledispatch
def draw_views(record: Record) -> Views:
    """What a record looks like: file name -> PNG bytes (`.png`) or Markdown text (`.md`).

    A record without a drawing of its own gives a table of its scalars.
    """
    return {"summary.md": scalar_table(record)}


@draw_views.register
def _(record: Manifest) -> Views:
    counts = record.entries.column("class_name").tally()
    unknown = set(record.unknown_class_names)
    rows = [(name, str(counts[name]), "held out" if name in unknown else "known") for name in sorted(counts)]
    text = f"**{len(record.entries)} images** of {len(record.class_names)} classes\n\n"
    text += markdown_table(("class", "images", "use"), rows)
    text += "".join(f"\n- {escape_html(told)}" for told in tell_remarks(record)) + "\n"
    return {"manifest.md": text + _list_quarantined(record.quarantined)}


@draw_views.register
def _(record: DataReport) -> Views:
    findings = "\n".join(f"- **{each.severity}**: {escape_html(each.message)}" for each in record.findings)
    counted = f"{count_of(record.num_images, 'image')}, {count_of(record.num_groups, 'group')}"
    text = f"**{counted}**\n\n{findings or 'Nothing stands out.'}\n"
    return {
        "findings.md": text + _list_quarantined(record.quarantined),
        "class_counts.png": draw_class_counts(record),
        "quality.png": draw_quality(record),
    }


@draw_views.register
def _(record: Splits) -> Views:
    rows = [(name, *map(str, size[:3])) for name, size in size_splits(record).items()]
    left_out = int((~record.used_as()).sum())
    title = f"{len(set(record.class_names))} known classes; {left_out} images without a split\n\n"
    table = markdown_table(("split", "images", "groups", "held-out unknown images"), rows)
    return {"splits.md": title + table + _list_quarantined(record.quarantined)}


draw_views.register(
    TrainingHistory,
    lambda record: {"training.png": draw_training_curves([record]), "training.md": scalar_table(record)},
)
draw_views.register(
    Temperature,
    lambda record: {"temperature.png": draw_temperature(record), "temperature.md": scalar_table(record)},
)
draw_views.register(PrecisionReport, lambda record: {"precisions.md": tabulate_precisions(record)})
draw_views.register(
    DriftReport, lambda record: {"drift.md": tabulate_drift(record), "drift.png": draw_drift(record)}
)
draw_views.register(
    Comparison,
    lambda record: {
        "comparison.md": tabulate_candidates(record),
        "candidates.png": draw_candidates(record),
        "differences.png": draw_differences(record.differences),
    },
)


@draw_views.register
def _(record: DecisionRule) -> Views:
    parts = (record.stranger, record.unknown, record.review, record.temperature)
    tables = "\n".join(scalar_table(part) for part in parts if part is not None)
    return {"rule.png": draw_rule(record), "rule.md": tables}


@draw_views.register
def _(record: Evaluation) -> Views:
    """All of it on test; on validation, where every candidate is drawn within the run, what tells most."""
    views: Views = {
        "evaluation.md": scalar_table(record),
        "confusion.png": draw_confusion(record),
        "unknown_classes.png": draw_unknown_classes(record),
    }
    if record.split == Split.TEST:
        views |= {
            "rates.png": draw_rates(record),
            "classes.png": draw_class_scores(record),
            "reliability.png": draw_reliability(record),
            "confidence.png": draw_confidence(record),
            "unknown_roc.png": draw_unknown_roc(record),
        }
    return views


@draw_views.register
def _(record: Promotion) -> Views:
    reasons = "\n".join(f"- {escape_html(reason)}" for reason in record.reasons)
    views: Views = {"verdict.md": f"## {record.verdict.value}\n\n{reasons}\n", "gate.png": draw_gate(record)}
    if record.differences:
        views["differences.png"] = draw_differences(record.differences)
    if record.contradictions:
        rows = [
            (str(each.row), each.class_name, each.answer, f"{each.confidence:.3f}")
            for each in record.contradictions
        ]
        views["contradictions.md"] = markdown_table(
            ("data-set row", "labelled", "the champion is sure of", "confidence"), rows
        )
    return views


@draw_views.register
def _(record: NewImages) -> Views:
    rows = [(each.class_name, str(each.num_images), str(each.num_groups)) for each in record.classes]
    counted = f"{count_of(record.num_images, 'image')} in {count_of(record.num_groups, 'group')}"
    title = f"**{counted}** that the champion has not seen\n\n"
    return {"new_images.md": title + markdown_table(("class", "images", "groups"), rows)}


@draw_views.register
def _(record: Deployment) -> Views:
    text = (
        f"## {record.model_name} version {record.version} answers on {record.url}\n\n"
        f"Of {record.num_images} test images ({record.num_unknown_images} of held-out classes) over HTTP, "
        f"{record.num_equal_decisions} got the pipeline's own decision and class; probabilities differ by at "
        f"most {record.max_probability_difference:.2g} (allowed {record.tolerance:g}).\n\n"
    )
    return {"deployment.md": text + scalar_table(record)}


@draw_views.register
def _(record: RetrainDecision) -> Views:
    rows = [(each.name, "yes" if each.speaks_for else "no", each.message) for each in record.considered]
    title = f"## {'Retrain' if record.retrain else 'Do not retrain'} (asked by: {record.trigger.value})\n\n"
    reasons = "".join(f"- {escape_html(reason)}\n" for reason in record.reasons)
    return {
        "decision.md": f"{title}{reasons}\n" + markdown_table(("considered", "speaks for it", "why"), rows)
    }


@draw_views.register
def _(record: FileSet) -> Views:
    rows = []
    for name, digest in sorted(record.files.items()):
        path = record.path(name)
        size = format_bytes(path.stat().st_size) if path.is_file() else "not here"
        rows.append((name, size, digest[:16]))
    files = markdown_table(("file", "size", "SHA-256 begins"), rows)
    return {"summary.md": scalar_table(record), "files.md": files}


def _list_quarantined(quarantined: tuple[Quarantined, ...]) -> str:
    if not quarantined:
        return "\nNo file is left out.\n"
    rows = [(each.path, each.reason) for each in quarantined[:LONGEST_LIST]]
    return f"\n**{len(quarantined)} files are left out**, first of them:\n\n" + markdown_table(
        ("file", "reason"), rows
    )

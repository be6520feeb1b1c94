"""Why this model: candidates side by side, paired differences, exported precisions, the gate."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.ticker import MaxNLocator

from report.figures.style import (
    BLUE,
    FONT,
    GREEN,
    GREY,
    INK,
    MUTED,
    RED,
    SMALL,
    draw_intervals,
    name_rows,
    new_chart,
    new_figure,
    rows_height,
    style_axes,
    title_figure,
    to_png,
    write_empty,
)
from report.figures.tables import markdown_table
from report.formatting import format_bytes, format_interval, format_share
from vision.base.wording import shorten
from vision.bundle.records import PrecisionReport, PrecisionRow
from vision.evaluation.metric_table import METRICS
from vision.evaluation.records import Comparison, Difference
from vision.gate.records import Promotion

_SHOWN = ("accuracy", "macro_f1", "nll")


def draw_candidates(comparison: Comparison) -> bytes:
    """Accuracy, macro F1 and NLL of every candidate on validation, the winner in colour. PNG."""
    rows = comparison.candidates
    figure = new_figure(rows_height(len(rows), 0.36, 1.15))
    panels = figure.subplots(1, 3, sharey=True)
    for axes, metric in zip(panels, [METRICS[name] for name in _SHOWN], strict=True):
        for height, row in enumerate(rows):
            colour = BLUE if row.candidate == comparison.winner else GREY
            draw_intervals(axes, [height], [getattr(row, metric.name)], colour)
        style_axes(axes, x=metric.words + ("" if metric.higher_is_better else " (lower is better)"))
        axes.tick_params(labelsize=SMALL)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
        axes.margins(x=0.15)
        if metric.higher_is_better:
            axes.set_xlim(right=min(axes.get_xlim()[1], 1.005))
    name_rows(panels[0], [row.candidate for row in rows])
    panels[0].tick_params(axis="y", labelsize=FONT)
    title_figure(figure, f"{shorten(comparison.winner)} is chosen")
    return to_png(figure)


def draw_differences(differences: Sequence[Difference]) -> bytes:
    """Paired differences with intervals (forest plot): right of zero favours the first named. PNG."""
    certain = [each.difference.low > 0 or each.difference.high < 0 for each in differences]
    title = f"{sum(certain)} of {len(differences)} differences are certain (interval clear of zero)"
    height = rows_height(len(differences), 0.4, 1.15)
    figure, axes = new_chart(height, title, x="right of zero favours the first named")
    for row, each in enumerate(differences):
        draw_intervals(axes, [row], [each.difference], BLUE if certain[row] else GREY)
    axes.axvline(0.0, color=INK, linewidth=1)
    axes.set_yticks(range(len(differences)), [_difference_label(each) for each in differences])
    axes.set_ylim(len(differences) - 0.4, -0.6)
    axes.margins(x=0.1)
    if not differences:
        write_empty(axes, "nothing to compare")
    return to_png(figure)


def draw_gate(promotion: Promotion) -> bytes:
    """The checks of the gate, each passed or failed, with the figures. PNG."""
    checks = promotion.checks
    failed = sum(not check.passed for check in checks)
    outcome = f"all {len(checks)} checks passed" if not failed else f"{failed} of {len(checks)} checks failed"
    title = f"{promotion.verdict.value.capitalize()}: {outcome}"
    figure, axes = new_chart(rows_height(len(checks), 0.42, 0.5), title, grid="")
    for row, check in enumerate(checks):
        colour, word = (GREEN, "passed") if check.passed else (RED, "failed")
        axes.text(0.0, row - 0.14, word, color=colour, fontsize=FONT, fontweight="bold", va="center")
        axes.text(0.11, row - 0.14, check.name.replace("_", " "), fontsize=FONT, color=INK, va="center")
        axes.text(0.11, row + 0.2, shorten(check.message, 105), fontsize=SMALL, color=MUTED, va="center")
    axes.set_xlim(0, 1)
    axes.set_ylim(max(len(checks), 1) - 0.4, -0.6)
    axes.set_xticks([])
    axes.set_yticks([])
    return to_png(figure)


def tabulate_candidates(comparison: Comparison) -> str:
    """The candidates as a Markdown table, the winner marked."""
    header = ("candidate", "accuracy", "macro F1", "NLL", "ECE", "unknown AUROC", "parameters")
    rows = [
        (
            f"**{row.candidate}**" if row.candidate == comparison.winner else row.candidate,
            format_interval(row.accuracy),
            format_interval(row.macro_f1),
            format_interval(row.nll),
            f"{row.ece:.3f}",
            "n/a" if math.isnan(row.unknown_auroc) else f"{row.unknown_auroc:.3f}",
            f"{row.num_parameters:,}",
        )
        for row in comparison.candidates
    ]
    return f"**{comparison.winner}** wins: {comparison.reason}\n\n" + markdown_table(header, rows)


def tabulate_precisions(report: PrecisionReport) -> str:
    """Exported precisions against the trained model as a Markdown table."""
    agreement = ("same decision", "same class", "largest difference", "ECE", "AUROC")
    rows = [
        (
            f"**{row.precision.value}** (served)" if row.precision is report.served else row.precision.value,
            format_bytes(row.num_bytes),
            *(_measured_words(row) if row.runs else ["not run"] * 5),
            "within tolerance" if row.within_tolerance else "; ".join(row.reasons) or "beyond tolerance",
        )
        for row in report.rows
    ]
    title = f"Exported graphs against the trained model, same {report.num_images} validation images\n\n"
    return title + markdown_table(("precision", "size", *agreement, "verdict"), rows)


def _measured_words(row: PrecisionRow) -> list[str]:
    auroc = row.unknown_auroc_difference
    return [
        format_share(row.decision_agreement),
        format_share(row.class_agreement),
        f"{row.max_probability_difference:.2g}",
        f"{row.ece_difference:.2g}",
        "not measured" if auroc is None else f"{auroc:.2g}",
    ]


def _difference_label(difference: Difference) -> str:
    known = METRICS.get(difference.metric)
    metric = known.words if known else difference.metric.replace("_", " ")
    return f"{shorten(difference.first, 18)} over\n{shorten(difference.second, 18)}, {shorten(metric, 22)}"

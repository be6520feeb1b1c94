"""What a model knows and where it errs: confusion, reliability, decisions, classes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from report.figures.style import (
    BLUE,
    DECISION_COLOURS,
    FONT,
    GREY,
    INK,
    MUTED,
    PURPLE,
    RED,
    SMALL,
    WIDTH,
    add_legend,
    add_legend_below,
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
from report.formatting import split_hundred
from report.unknown_rows import ANSWERS, KIND_NAMES
from vision.base.wording import count_of, shorten
from vision.decision.records import Decision, DecisionRule
from vision.evaluation.records import FEW_GROUPS, ClassRow, DecisionRates, Evaluation

LARGEST_WITH_COUNTS = 25
BLANK = {"facecolor": "white", "edgecolor": "none", "pad": 0}
"""Behind words that a line would cross."""


def draw_confusion(evaluation: Evaluation) -> bytes:
    """True classes down, predicted classes across; shade is the share of the row, figures are counts. PNG."""
    counts = np.array(evaluation.confusion, dtype=float).reshape(-1, len(evaluation.class_names))
    num = len(evaluation.class_names)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    longest = max((len(shorten(name)) for name in evaluation.class_names), default=1)
    cells = min(WIDTH - 0.075 * longest - 0.4, max(2.8, 0.62 * num))
    height = cells + 0.065 * longest + 0.75
    figure, axes = new_chart(height, _confusion_title(evaluation, counts), x="predicted", y="true", grid="")
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.15)
    if num <= LARGEST_WITH_COUNTS:
        _write_counts(axes, counts, shares, min(FONT, 55 * cells / max(num, 1) / 2.4))
    size = max(3.0, min(FONT, 72 * cells / max(num, 1) * 0.8))
    names = [shorten(name) for name in evaluation.class_names]
    axes.set_xticks(range(num), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=size)
    axes.set_yticks(range(num), names, fontsize=size)
    return to_png(figure)


def draw_class_scores(evaluation: Evaluation) -> bytes:
    """F1 of every class with its interval, weakest first. PNG."""
    rows = sorted(evaluation.classes, key=lambda row: (math.isnan(row.f1.value), row.f1.value))
    figure, axes = new_chart(rows_height(len(rows)), _scores_title(rows), x="F1 (1 is perfect)")
    draw_intervals(axes, range(len(rows)), [row.f1 for row in rows], BLUE)
    for height, row in enumerate(rows):
        if math.isfinite(row.f1.value) and not row.f1.low < row.f1.high and row.num_groups < FEW_GROUPS:
            told = f"   {count_of(row.num_groups, 'group')}: no interval   "
            side = "left" if row.f1.value < 0.5 else "right"
            axes.text(
                row.f1.value, height, told, ha=side, va="center", fontsize=SMALL, color=MUTED, bbox=BLANK,
                zorder=1.5,
            )  # fmt: skip
    name_rows(axes, [row.class_name for row in rows])
    macro = evaluation.macro_f1.value
    if math.isfinite(macro):
        axes.axvline(macro, color=INK, linewidth=0.9, linestyle=(0, (3, 3)), zorder=1)
        axes.text(
            macro, 1.0, "mean", transform=axes.get_xaxis_transform(), ha="center", va="bottom", fontsize=SMALL
        )
    axes.set_xlim(right=1.005)
    return to_png(figure)


def draw_reliability(evaluation: Evaluation) -> bytes:
    """Accuracy against confidence in 15 bins over a histogram of confidence; ECE beside its floor. PNG."""
    figure = new_figure(5.0)
    upper, lower = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    bins = [row for row in evaluation.reliability if row.num_images]
    upper.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)), label="perfectly calibrated")
    for row in bins:
        upper.vlines(
            row.confidence, *sorted((row.confidence, row.accuracy)), color=RED, linewidth=1.5, alpha=0.5
        )
    sizes = [18 + 160 * row.num_images / max(each.num_images for each in bins) for row in bins]
    upper.scatter(
        [row.confidence for row in bins], [row.accuracy for row in bins], s=sizes, color=BLUE, zorder=3,
        label="measured (size: number of images)",
    )  # fmt: skip
    upper.set_ylim(-0.03, 1.03)
    upper.set_xlim(0, 1.01)
    title_figure(figure, _calibration_title(evaluation))
    style_axes(upper, y="share right", grid="both")
    add_legend(upper, loc="upper left", markerscale=0.6)
    for row in evaluation.reliability:
        lower.bar(row.low, row.num_images, width=(row.high - row.low) * 0.94, align="edge", color=BLUE)
    style_axes(lower, x="confidence", y="images", grid="y")
    return to_png(figure)


def draw_confidence(evaluation: Evaluation) -> bytes:
    """Confidence of right, wrong and unknown images, 20 bins, one panel each. PNG."""
    sets = (
        ("right", evaluation.confidence_correct, BLUE),
        ("wrong", evaluation.confidence_wrong, RED),
        ("unknown", evaluation.confidence_unknown, PURPLE),
    )
    figure = new_figure(3.6)
    panels = figure.subplots(3, 1, sharex=True)
    for axes, (name, counts, colour) in zip(panels, sets, strict=True):
        total = sum(counts)
        width = 1 / max(len(counts), 1)
        heights = np.array(counts, dtype=float) / max(total, 1)
        axes.bar(np.arange(len(counts)) * width, heights, width=width * 0.92, align="edge", color=colour)
        style_axes(axes, grid="y")
        axes.set_ylabel(f"{name}\n{count_of(total, 'image')}", rotation=0, ha="right", va="center", color=INK)
        axes.set_yticks([])
        axes.set_xlim(0, 1)
        if not total:
            axes.text(0.5, 0.4, "none", transform=axes.transAxes, ha="center", color=MUTED, fontsize=FONT)
    panels[2].set_xlabel("confidence", fontsize=FONT, color=MUTED)
    title_figure(figure, "How sure the model is when right, wrong, or shown an unknown")
    return to_png(figure)


def draw_rates(evaluation: Evaluation) -> bytes:
    """What known images, look-alikes and strangers are answered, as shares that add up to one. PNG."""
    rates = list(evaluation.rates)
    height = rows_height(len(rates), 0.52, 1.15)
    figure, axes = new_chart(height, _rates_title(rates), x="share of images", grid="")
    for row, each in enumerate(rates):
        _draw_rate(axes, row, each)
    name_rows(axes, [f"{KIND_NAMES.get(each.kind, each.kind)} ({each.num_images})" for each in rates])
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    if rates:
        for decision, label in ANSWERS.items():
            axes.barh([0], [0], color=DECISION_COLOURS[decision], label=label)
        add_legend_below(figure, axes)
    else:
        write_empty(axes, "nothing was answered")
    return to_png(figure)


def draw_ladder(record: tuple[Evaluation, float]) -> bytes:
    """Share of known images accepted for each promise about wrong ones; the one in force is marked. PNG."""
    evaluation, in_force = record
    rows = [row for row in evaluation.ladder if row.attainable]
    targets = [100 * row.target_risk for row in rows]
    figure, axes = new_chart(
        2.6,
        "The more mistakes are promised at most, the more is decided alone",
        x="at most so many of 100 decided alone are wrong",
        y="decided alone",
        grid="y",
    )
    axes.plot(targets, [row.coverage for row in rows], "o--", color=MUTED, label="held-out images")
    axes.plot(targets, [row.accepted for row in rows], "o-", color=BLUE, label="test images")
    axes.axvline(100 * in_force, color=PURPLE, linewidth=2)
    axes.text(
        100 * in_force, 0.04, " in force ", transform=axes.get_xaxis_transform(), fontsize=SMALL,
        color=PURPLE, ha="right" if in_force > 0.15 else "left",
    )  # fmt: skip
    axes.set_ylim(0, 1.02)
    axes.set_xlim(0, 21)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    add_legend_below(figure, axes)
    return to_png(figure)


def draw_rule(rule: DecisionRule) -> bytes:
    """Unknown scores of the calibration images, and the threshold above which an image is unknown. PNG."""
    scores = np.array(rule.unknown.calibration_scores, dtype=float)
    scores = scores[np.isfinite(scores)]
    state = "Promised" if rule.unknown.attainable else "Cannot be promised with so few images"
    title = f"{state}: at most {rule.unknown.alpha:.0%} of known images called unknown"
    figure, axes = new_chart(2.5, title, x=f"unknown score ({rule.unknown.score_name})", y="images")
    if scores.size:
        axes.hist(scores, bins=30, color=BLUE, rwidth=0.92)
    else:
        write_empty(axes, "no calibration images")
    if math.isfinite(rule.unknown.value):
        axes.axvline(rule.unknown.value, color=PURPLE, linewidth=2)
        beyond = "unknown" if rule.unknown.attainable else "to a person"
        axes.text(
            rule.unknown.value, 0.97, f"{beyond} from here ", transform=axes.get_xaxis_transform(), va="top",
            ha="right", fontsize=SMALL, color=PURPLE,
        )  # fmt: skip
    return to_png(figure)


def _write_counts(axes: Axes, counts: np.ndarray, shares: np.ndarray, size: float) -> None:
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.6 else INK
            axes.text(column, row, f"{int(count)}", ha="center", va="center", color=colour, fontsize=size)


def _scores_title(rows: Sequence[ClassRow]) -> str:
    if not rows or not math.isfinite(rows[0].f1.value):
        return "F1 by class"
    if rows[0].f1.value == 1.0:
        return "Every class is named without error"
    return f"Weakest class: {shorten(rows[0].class_name)}, F1 {rows[0].f1.value:.2f}"


def _confusion_title(evaluation: Evaluation, counts: np.ndarray) -> str:
    right, total = int(np.trace(counts)), int(counts.sum())
    off = counts - np.diag(np.diag(counts))
    if not off.any():
        return f"{right} of {total} right: no class is taken for another"
    row, column = np.unravel_index(int(np.argmax(off)), off.shape)
    names = evaluation.class_names
    return (
        f"{right} of {total} right; most often {shorten(names[row], 18)} is taken for "
        f"{shorten(names[column], 18)} ({int(off[row, column])})"
    )


def _calibration_title(evaluation: Evaluation) -> str:
    error, floor = evaluation.ece, evaluation.ece_floor
    if not (math.isfinite(error) and math.isfinite(floor)):
        return "Calibration could not be measured"
    verdict = "no worse than chance allows" if error <= floor else "more than chance allows"
    return f"Calibration error {error:.3f}, {verdict} ({floor:.3f})"


def _rates_title(rates: list[DecisionRates]) -> str:
    by_kind = {each.kind: each for each in rates}
    known = by_kind.get("known")
    unknown = [by_kind[kind] for kind in ("near", "far") if kind in by_kind]
    found = [
        f"{_split(each)[2]}% of {KIND_NAMES[each.kind]}"
        for each in unknown
        if math.isfinite(each.called_unknown.value)
    ]
    parts = []
    if known and math.isfinite(known.accepted.value):
        parts.append(f"{_split(known)[0]}% of known images decided alone")
    if found:
        parts.append(f"called unknown: {', '.join(found)}")
    return "; ".join(parts) or "What images are answered"


def _split(rates: DecisionRates) -> list[str]:
    return split_hundred(rates.accepted.value, rates.reviewed.value, rates.called_unknown.value)


def _draw_rate(axes: Axes, row: int, rates: DecisionRates) -> None:
    left = 0.0
    for decision, each, told in (
        (Decision.ACCEPT, rates.accepted, _split(rates)[0]),
        (Decision.REVIEW, rates.reviewed, _split(rates)[1]),
        (Decision.UNKNOWN, rates.called_unknown, _split(rates)[2]),
    ):
        share = each.value
        if not math.isfinite(share):
            continue
        axes.barh(row, share, left=left, color=DECISION_COLOURS[decision], height=0.6, edgecolor="white")
        if share >= 0.06:
            axes.text(
                left + share / 2, row, f"{told}%", ha="center", va="center", color="white", fontsize=FONT,
                fontweight="bold",
            )  # fmt: skip
        left += share

"""How well unknown images are told from known ones. Positive class: unknown."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes

from report.figures.style import (
    BLUE,
    FONT,
    GREY,
    INK,
    MUTED,
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
from report.unknown_rows import KIND_NAMES, MAXIMUM_SOFTMAX, UNDETECTABLE
from vision.base.record import Interval
from vision.base.wording import shorten
from vision.data.records import POOLED
from vision.evaluation.records import Evaluation, UnknownRow


def draw_unknown_roc(evaluation: Evaluation) -> bytes:
    """Unknown images found against known images called unknown, by kind, both scores. PNG."""
    kinds = [kind for kind in ("near", "far") if any(curve.kind == kind for curve in evaluation.roc)]
    figure = new_figure(3.6)
    panels = figure.subplots(1, max(len(kinds), 1), squeeze=False, sharey=True)[0]
    decides = evaluation.deciding_score
    areas = {
        (row.kind, row.score_name): row.auroc.value for row in evaluation.unknown if row.class_name == POOLED
    }
    for axes, kind in zip(panels, kinds, strict=False):
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
        for curve in evaluation.roc:
            if curve.kind == kind and curve.score_name in (decides, MAXIMUM_SOFTMAX):
                area = areas.get((kind, curve.score_name), math.nan)
                label = f"{_score_label(curve.score_name)} {area:.3f}"
                colour = BLUE if curve.score_name == decides else GREY
                points = (curve.false_positive_rate, curve.true_positive_rate)
                axes.plot(*points, color=colour, label=label, linewidth=2)
        style_axes(axes, title=KIND_NAMES[kind], x="known called unknown", grid="both")
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(-0.01, 1.02)
        add_legend(axes, loc="lower right")
    parts = [f"{KIND_NAMES[kind]} {areas.get((kind, decides), math.nan):.2f}" for kind in kinds]
    if kinds:
        title_figure(figure, f"Finding unknown images: AUROC {', '.join(parts)}")
        panels[0].set_ylabel("unknown found", fontsize=FONT, color=MUTED)
    else:
        style_axes(panels[0])
        write_empty(panels[0], "there were no unknown images to find")
    return to_png(figure)


def draw_unknown_classes(evaluation: Evaluation) -> bytes:
    """AUROC of every held-out class and kind of stranger, the hardest first, both scores. PNG."""
    decides = evaluation.deciding_score
    order = [row for row in evaluation.unknown if row.score_name == decides and row.class_name != POOLED]
    order.sort(key=lambda row: (row.kind != "near", row.auroc.value))
    height = rows_height(len(order), 0.34, 1.35)
    figure, axes = new_chart(height, _classes_title(order), x="AUROC (0.5 is guessing, 1 is perfect)")
    keys = [(row.kind, row.class_name) for row in order]
    softmax = {
        (row.kind, row.class_name): row.auroc
        for row in evaluation.unknown
        if row.score_name == MAXIMUM_SOFTMAX
    }
    if decides != MAXIMUM_SOFTMAX:
        shown = [(row + 0.17, softmax[key]) for row, key in enumerate(keys) if key in softmax]
        draw_intervals(axes, [row for row, _ in shown], [each for _, each in shown], GREY, "maximum softmax")
    heights = [row - 0.12 for row in range(len(order))]
    draw_intervals(axes, heights, [row.auroc for row in order], BLUE, f"{_score_label(decides)} (in use)")
    axes.axvline(0.5, color=INK, linewidth=0.9)
    axes.axvline(UNDETECTABLE, color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)))
    name_rows(axes, [_name_row(row) for row in order])
    _limit_left(axes, order, list(softmax.values()))
    if order:
        add_legend_below(figure, axes)
    else:
        write_empty(axes, "there were no unknown images to find")
    return to_png(figure)


def _name_row(row: UnknownRow) -> str:
    """The class; a kind of strangers is said to be one, as a class may have its name."""
    return shorten(row.class_name) if row.kind == "near" else f"{shorten(row.class_name, 12)} (stranger)"


def _limit_left(axes: Axes, order: list[UnknownRow], others: list[Interval]) -> None:
    lows = [each.low for each in [*(row.auroc for row in order), *others] if math.isfinite(each.low)]
    axes.set_xlim(min([0.45, *(low - 0.02 for low in lows)]), 1.01)


def _classes_title(rows: list[UnknownRow]) -> str:
    near = [row for row in rows if row.kind == "near" and math.isfinite(row.auroc.value)]
    hard = [row for row in near if row.auroc.value < UNDETECTABLE]
    if not near:
        return "How well strangers are told from known ones" if rows else "No unknown images"
    if hard:
        return f"{len(hard)} of {len(near)} held-out classes can hardly be told from known ones"
    mean = float(np.mean([row.auroc.value for row in near]))
    hardest = near[0]
    return (
        f"Held-out classes: mean {mean:.2f}; hardest {shorten(hardest.class_name)}, {hardest.auroc.value:.2f}"
    )


def _score_label(name: str) -> str:
    return "maximum softmax" if name == MAXIMUM_SOFTMAX else name

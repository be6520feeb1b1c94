"""What the data look like: images per class and split, and quality per class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from report.figures.style import (
    BLUE,
    FONT,
    GREY,
    INK,
    MUTED,
    SMALL,
    SPLIT_COLOURS,
    add_legend_below,
    name_rows,
    new_chart,
    new_figure,
    rows_height,
    style_axes,
    title_figure,
    to_png,
    write_empty,
)
from vision.base.wording import count_of, shorten
from vision.data.records import DataReport, QualitySummary, Split


def draw_class_counts(report: DataReport) -> bytes:
    """Images of each class, stacked by split; held-out classes below, in grey. PNG."""
    known = sorted({row.class_name for row in report.class_counts if not row.is_unknown})
    unknown = sorted({row.class_name for row in report.class_counts if row.is_unknown})
    names = [*known, *unknown]
    counts = {(row.class_name, row.split): row.num_images for row in report.class_counts}
    totals = [sum(counts.get((name, split.value), 0) for split in Split) for name in names]
    title = _count_title(report, known, unknown, totals)
    figure, axes = new_chart(rows_height(len(names), 0.27, 1.15), title, x="images")
    left = np.zeros(len(names))
    for split in Split:
        widths = np.array([counts.get((name, split.value), 0) for name in names], dtype=float)
        colours = [SPLIT_COLOURS[split]] * len(known) + [GREY] * len(unknown)
        edges: dict[str, Any] = {"edgecolor": "white", "linewidth": 0.8}
        axes.barh(range(len(names)), widths, left=left, color=colours, height=0.68, **edges)
        axes.barh([0], [0], color=SPLIT_COLOURS[split], label=split.value)
        left += widths
    for row, total in enumerate(totals):
        axes.text(total, row, f" {total}", va="center", fontsize=SMALL, color=INK)
    name_rows(axes, names)
    axes.margins(x=0.08)
    if names:
        if unknown:
            axes.barh([0], [0], color=GREY, label="held out as unknown")
        add_legend_below(figure, axes)
    else:
        write_empty(axes, "no images")
    return to_png(figure)


def draw_quality(report: DataReport) -> bytes:
    """Median and 5th to 95th percentile of every quality column, one panel a column, one row a class. PNG."""
    columns = list(dict.fromkeys(row.column for row in report.quality))
    names = list(dict.fromkeys(row.class_name for row in report.quality))
    across = min(3, max(len(columns), 1))
    down = max(1, -(-len(columns) // across))
    figure = new_figure(0.5 + down * rows_height(len(names), 0.19, 0.75))
    grid = figure.subplots(down, across, squeeze=False, sharey=True)
    by_key = {(row.class_name, row.column): row for row in report.quality}
    for axes, column in zip(grid.flat, columns, strict=False):
        _draw_quality_column(axes, column, [by_key.get((name, column)) for name in names])
        name_rows(axes, names)
    for axes in grid.flat[len(columns) :]:
        axes.set_visible(False)
    if not columns:
        grid[0, 0].set_visible(True)
        style_axes(grid[0, 0])
        write_empty(grid[0, 0], "no quality was measured")
    title_figure(figure, "Image quality by class: median, and the range of nine images in ten")
    return to_png(figure)


def _draw_quality_column(axes: Axes, column: str, rows: Sequence[QualitySummary | None]) -> None:
    for height, row in enumerate(rows):
        if row is not None:
            axes.hlines(height, row.p05, row.p95, color=BLUE, linewidth=2.2, alpha=0.4)
            axes.plot(row.median, height, "o", color=BLUE, markersize=4)
    style_axes(axes)
    axes.set_title(column.replace("_", " "), loc="left", fontsize=FONT, color=MUTED)
    axes.tick_params(labelsize=SMALL)


def _count_title(
    report: DataReport, known: Sequence[str], unknown: Sequence[str], totals: Sequence[int]
) -> str:
    if not known:
        return count_of(report.num_images, "image")
    smallest = int(np.argmin(totals[: len(known)]))
    held_out = f", {len(unknown)} held out" if unknown else ""
    return (
        f"{count_of(report.num_images, 'image')} of {count_of(len(known), 'class')}{held_out}; "
        f"fewest: {shorten(known[smallest])}, {totals[smallest]}"
    )

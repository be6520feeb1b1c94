"""A window of answers beside the reference: every quality column, and the embedding in two directions."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from report.figures.style import (
    BLUE,
    GREY,
    MUTED,
    RED,
    SMALL,
    add_legend_below,
    new_figure,
    style_axes,
    title_figure,
    to_png,
    write_empty,
)
from report.figures.tables import escape_html, markdown_table
from report.formatting import format_interval
from vision.base.wording import count_of
from vision.drift.records import ColumnDrift, DriftCause, DriftReport, DriftStatus, DriftTest

ACROSS = 3

_TITLES = {
    DriftCause.CAPTURE: "Drift of capture",
    DriftCause.NOVELTY: "Drift by novelty: more images are unlike every known class",
    DriftCause.COVARIATE: "Covariate drift: the images look otherwise to the network",
    DriftCause.LABEL_MIX: "Drift of the label mix: classes come in other shares",
}


def draw_drift(report: DriftReport) -> bytes:
    """Distribution of every quality column and a map of the embedding, window over reference. PNG."""
    num_panels = len(report.columns) + bool(report.columns)
    down = max(1, -(-num_panels // ACROSS))
    figure = new_figure(0.9 + 1.9 * down)
    grid = figure.subplots(down, ACROSS, squeeze=False)
    title_figure(figure, title_drift(report))
    for axes in grid.flat[num_panels:]:
        axes.set_visible(False)
    if not report.columns:
        middle = grid[0, ACROSS // 2]
        middle.set_visible(True)
        style_axes(middle)
        write_empty(middle, "nothing was compared")
        return to_png(figure)
    colour = RED if report.status is DriftStatus.DRIFT else BLUE
    for axes, column in zip(grid.flat, report.columns, strict=False):
        _draw_column(axes, column, colour)
    for axes in grid[:, 0]:
        axes.set_ylabel("share below", fontsize=SMALL, color=MUTED)
    _draw_map(grid.flat[num_panels - 1], report, colour)
    add_legend_below(figure, grid[0, 0])
    return to_png(figure)


def title_drift(report: DriftReport) -> str:
    """The verdict in one sentence."""
    if report.status is DriftStatus.INSUFFICIENT:
        images, groups = count_of(report.num_images, "image"), count_of(report.num_groups, "group")
        return f"Too little to judge: {images} in {groups}"
    unverified = "" if report.verified else " (unverified)"
    if report.cause is None:
        return f"Quiet{unverified}: {report.num_images} answers are like the reference"
    title = _TITLES[report.cause]
    if report.cause is DriftCause.CAPTURE:
        title += f": {_list_moved(report)} moved"
    return title + unverified


def tabulate_drift(report: DriftReport) -> str:
    """Markdown: the reasons, the tests, the quality columns, the estimates."""
    parts = [f"## {report.status.value}{'' if report.cause is None else ': ' + report.cause.value}\n"]
    parts.append("\n".join(f"- {escape_html(reason)}" for reason in report.reasons) + "\n")
    if report.tests:
        rows = [_tell_test(test) for test in report.tests]
        parts.append(markdown_table(("test", "fired", "p", "evidence"), rows))
    if report.columns:
        columns = [_tell_column(column) for column in report.columns]
        head = ("quality column", "moved", "reference median", "window median", "KS", "p")
        parts.append(markdown_table(head, columns))
    if report.class_mix:
        shares = [
            (share.class_name, f"{share.reference:.3f}", format_interval(share.window))
            for share in report.class_mix
        ]
        parts.append(markdown_table(("class", "reference", "window, estimated"), shares))
    return "\n".join(parts)


def _draw_column(axes: Axes, column: ColumnDrift, colour: str) -> None:
    """Both distribution functions, from their quantiles; a column that moved has a coloured name."""
    levels = np.linspace(0.0, 1.0, len(column.reference_quantiles))
    axes.plot(column.reference_quantiles, levels, color=GREY, linewidth=2.4, label="reference")
    axes.plot(column.window_quantiles, levels, color=colour, linewidth=1.6, label="window")
    style_axes(axes, grid="both")
    name = column.column.replace("_", " ")
    mark = f"{name}\nmoved, p {column.p_value:.3f}" if column.moved else f"{name}\np {column.p_value:.2f}"
    axes.set_title(mark, loc="left", fontsize=SMALL, color=RED if column.moved else MUTED)
    axes.tick_params(labelsize=SMALL)
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0.0, 0.5, 1.0])
    axes.locator_params(axis="x", nbins=4)


def _draw_map(axes: Axes, report: DriftReport, colour: str) -> None:
    for points, shade, size in ((report.reference_points, GREY, 10), (report.window_points, colour, 6)):
        places = np.array(points).reshape(-1, 2)
        axes.scatter(places[:, 0], places[:, 1], s=size, color=shade, alpha=0.6, linewidths=0)
    style_axes(axes, grid="")
    axes.set_title("what the network sees\n", loc="left", fontsize=SMALL, color=MUTED)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(True)
        side.set_color(GREY)


def _list_moved(report: DriftReport) -> str:
    """The two columns that moved most, and how many more."""
    moved = sorted((each for each in report.columns if each.moved), key=lambda each: -each.studentised)
    names = [each.column.replace("_", " ") for each in moved]
    rest = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return (", " if rest else " and ").join(names[:2]) + rest


def _tell_test(test: DriftTest) -> tuple[str, str, str, str]:
    fired = "**yes**" if test.fired else "no"
    return test.name.replace("_", " "), fired, f"{test.p_value:.3f}", test.evidence


def _tell_column(column: ColumnDrift) -> tuple[str, str, str, str, str, str]:
    return (
        column.column.replace("_", " "),
        "**yes**" if column.moved else "no",
        f"{column.reference_median:.3g}",
        f"{column.window_median:.3g}",
        f"{column.statistic:.2f}",
        f"{column.p_value:.3f}",
    )

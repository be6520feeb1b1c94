"""One style for all pictures: 100 layout pixels an inch, Okabe-Ito colours, no state shared with pyplot.

A figure 5.6 inches wide is drawn at 150 dots an inch and shown 560 pixels wide, so a 9.5 point font reads as
13 pixels, and as 8 on a phone. Answers keep their colours everywhere: accept green, review orange, unknown
purple.
"""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray
from PIL import Image

from report.figures.fonts import describe_missing, set_fonts
from vision.base.record import Interval
from vision.base.wording import shorten
from vision.data.records import Split
from vision.decision.records import Decision

# A class may be called a$_$, which is no formula. This is the one setting that pyplot sees too.
matplotlib.rcParams["text.parse_math"] = False

WIDTH = 5.6
DOTS_PER_INCH = 150
FONT, SMALL = 9.5, 8.5
LONGEST_TITLE = 60
LONGEST_LEGEND = 72

INK, MUTED, GRID = "#22262B", "#6B7280", "#E4E7EB"
BLUE, SKY, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#56B4E9", "#E69F00", "#009E73", "#D55E00", "#9A5BA5"
GREY = "#9AA1AB"

DECISION_COLOURS = {Decision.ACCEPT: GREEN, Decision.REVIEW: ORANGE, Decision.UNKNOWN: PURPLE}
SPLIT_COLOURS = {
    Split.TRAIN: "#0B3C5D",
    Split.VALIDATION: BLUE,
    Split.CALIBRATION: SKY,
    Split.TEST: "#B9DDF2",
}


def new_figure(height: float) -> Figure:
    """A white figure of `WIDTH` and some inches of height that lays itself out."""
    spacing = ConstrainedLayoutEngine(wspace=0.06, hspace=0.06, w_pad=0.06, h_pad=0.06)
    return Figure(figsize=(WIDTH, height), dpi=DOTS_PER_INCH, facecolor="white", layout=spacing)


def title_figure(figure: Figure, title: str) -> None:
    """What the figure shows, as a sentence above it, flush left."""
    lines = textwrap.fill(title, LONGEST_TITLE)
    figure.suptitle(lines, x=0.008, ha="left", fontsize=FONT + 1, fontweight="bold", color=INK)


def style_axes(axes: Axes, *, title: str = "", x: str = "", y: str = "", grid: str = "x") -> None:
    """A panel's title flush left, no frame, a light grid behind the data."""
    if title:
        axes.set_title(title, loc="left", fontsize=FONT, color=INK, pad=6)
    axes.set_xlabel(x, fontsize=FONT, color=MUTED)
    axes.set_ylabel(y, fontsize=FONT, color=MUTED)
    axes.tick_params(labelsize=FONT, colors=INK, length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_axisbelow(True)
    if grid in ("x", "both"):
        axes.xaxis.grid(visible=True, color=GRID, linewidth=0.8)
    if grid in ("y", "both"):
        axes.yaxis.grid(visible=True, color=GRID, linewidth=0.8)


def new_chart(height: float, title: str, *, x: str = "", y: str = "", grid: str = "x") -> tuple[Figure, Axes]:
    """A figure with one panel: `new_figure`, `title_figure` and `style_axes`."""
    figure = new_figure(height)
    axes = figure.add_subplot()
    title_figure(figure, title)
    style_axes(axes, x=x, y=y, grid=grid)
    return figure, axes


def add_legend(axes: Axes, **options: Any) -> None:
    """A frameless legend in the small font, inside the axes."""
    axes.legend(frameon=False, fontsize=SMALL, labelcolor=INK, **options)


def add_legend_below(figure: Figure, axes: Axes) -> None:
    """A frameless legend under the whole figure, in as few lines as fit."""
    handles, labels = axes.get_legend_handles_labels()
    lines = -(-sum(len(label) + 5 for label in labels) // LONGEST_LEGEND)
    place: dict[str, Any] = {"loc": "outside lower left", "ncols": max(-(-len(labels) // max(lines, 1)), 1)}
    figure.legend(handles, labels, frameon=False, fontsize=SMALL, labelcolor=INK, **place)


def to_png(figure: Figure) -> bytes:
    """The figure as PNG bytes, the same for the same figure; letters that no font has are told below it."""
    canvas: Any = FigureCanvasAgg(figure)  # its methods have no types
    missing = set_fonts(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        canvas.draw()  # once; savefig would draw twice for the sake of the layout
    pixels = np.asarray(canvas.buffer_rgba())
    if missing:
        pixels = np.concatenate([pixels, _draw_note(describe_missing(missing), pixels.shape[1])])
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(buffer, "PNG", compress_level=5)
    return buffer.getvalue()


def _draw_note(words: str, width: int) -> NDArray[np.uint8]:
    """A strip of a picture with small words, (height, width, 4) uint8."""
    lines = textwrap.wrap(words, max(int(width / DOTS_PER_INCH * 15), 20))
    height = 0.17 * len(lines) + 0.1
    figure = Figure(figsize=(width / DOTS_PER_INCH, height), dpi=DOTS_PER_INCH, facecolor="white")
    figure.text(0.008, 0.95, "\n".join(lines), va="top", fontsize=SMALL, color=MUTED)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    strip: NDArray[np.uint8] = np.asarray(canvas.buffer_rgba())[:, :width]
    return np.pad(strip, ((0, 0), (0, width - strip.shape[1]), (0, 0)), constant_values=255)


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Name the rows of a horizontal chart, the first on top."""
    axes.set_yticks(range(len(names)), [shorten(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)


def draw_intervals(
    axes: Axes, rows: Sequence[float], intervals: Sequence[Interval], colour: str, label: str = ""
) -> None:
    """Dots with interval lines at the heights `rows`; rows of NaN stay empty."""
    measured = [(row, each) for row, each in zip(rows, intervals, strict=True) if math.isfinite(each.value)]
    if not measured:
        return
    heights = [row for row, _ in measured]
    lows, highs = [each.low for _, each in measured], [each.high for _, each in measured]
    axes.hlines(heights, lows, highs, color=colour, linewidth=2.2, alpha=0.45)
    axes.plot([each.value for _, each in measured], heights, "o", color=colour, markersize=5.5, label=label)


def rows_height(num_rows: int, each: float = 0.3, frame: float = 1.0) -> float:
    """Inches that a chart of so many rows wants."""
    return frame + each * max(num_rows, 1)


def write_empty(axes: Axes, message: str) -> None:
    """Say in the middle of an empty chart why it is empty."""
    axes.text(
        0.5, 0.5, message, transform=axes.transAxes, ha="center", va="center", color=MUTED, fontsize=FONT
    )
    axes.set_xticks([])
    axes.set_yticks([])

"""What the trials of a search of settings gave."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from report.figures.style import (
    BLUE,
    FONT,
    GREEN,
    GREY,
    INK,
    MUTED,
    add_legend_below,
    name_rows,
    new_chart,
    new_figure,
    style_axes,
    title_figure,
    to_png,
    write_empty,
)
from vision.base.wording import format_hundred
from vision.training.records import TrialRecord, TuningRecord

VARIED = {
    "learning_rate": "learning rate",
    "strategy": "strategy",
    "augment": "augmentation",
    "dropout": "dropout",
}
"""Field of a trial -> its name on an axis."""


def draw_history(record: TuningRecord) -> bytes:
    """NLL of every trial in its order, the best so far, and the settings as configured. PNG."""
    done = record.complete
    title = f"{len(done)} of {len(record.trials)} trials came to their end"
    figure, axes = new_chart(2.6, title, x="trial", y="NLL on validation", grid="both")
    if done:
        x = [each.number + 1 for each in done]
        y = [float(each.nll or 0.0) for each in done]
        axes.scatter(x, y, s=26, color=BLUE, zorder=3, label="trial")
        axes.step(x, list(accumulate(y, min)), where="post", color=GREEN, label="best so far")
    else:
        write_empty(axes, "no trial came to its end")
    if record.configured.nll is not None:
        axes.axhline(record.configured.nll, color=GREY, linestyle="--", label="as configured")
    _mark_stopped(axes, record.trials)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    add_legend_below(figure, axes)
    return to_png(figure)


def draw_slices(record: TuningRecord) -> bytes:
    """NLL against every setting that was varied, a panel each; the best trial is marked. PNG."""
    shown = [name for name in VARIED if len({getattr(each, name) for each in record.complete}) > 1]
    figure = new_figure(0.4 + 2.2 * max((len(shown) + 1) // 2, 1))
    grid = figure.subplots(max((len(shown) + 1) // 2, 1), 2, squeeze=False, sharey=True)
    for axes, name in zip(grid.flat, shown, strict=False):
        _draw_slice(axes, record, name)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    if not shown:
        grid.flat[0].set_visible(True)
        write_empty(grid.flat[0], "nothing was varied among the trials that ended")
    title_figure(figure, "Lower is better; the best trial is green")
    return to_png(figure)


def draw_importances(record: TuningRecord) -> bytes:
    """How much of the differences between trials each setting explains. PNG."""
    rows = sorted(record.importances.items(), key=lambda item: item[1])
    title = "What mattered" if rows else "What mattered cannot be told yet"
    explained = "share of the differences in NLL that it explains"
    figure, axes = new_chart(0.7 + 0.35 * max(len(rows), 1), title, x=explained)
    if rows:
        axes.barh(range(len(rows)), [value for _, value in rows], color=BLUE, height=0.55)
        for row, (_, value) in enumerate(rows):
            axes.text(value, row, f" {format_hundred(value)}%", va="center", fontsize=FONT, color=INK)
        name_rows(axes, tuple(VARIED.get(name, name) for name, _ in rows))
        axes.margins(x=0.12)
    else:
        write_empty(axes, "too few trials to tell")
    return to_png(figure)


def _draw_slice(axes: Axes, record: TuningRecord, name: str) -> None:
    trials = [each for each in record.complete if getattr(each, name) is not None]
    values: list[Any] = [getattr(each, name) for each in trials]
    nll = [float(each.nll or 0.0) for each in trials]
    best = record.best.number
    colours = [GREEN if each.number == best else BLUE for each in trials]
    if values and isinstance(values[0], str):
        names = sorted(set(values))
        axes.scatter([names.index(value) for value in values], nll, s=26, color=colours)
        axes.set_xticks(range(len(names)), names)
        axes.set_xlim(-0.6, len(names) - 0.4)
    else:
        axes.scatter(values, nll, s=26, color=colours)
        if name == "learning_rate":
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
    style_axes(axes, x=VARIED[name], y="NLL", grid="both")


def _mark_stopped(axes: Axes, trials: Sequence[TrialRecord]) -> None:
    """Trials that were stopped early or failed, as crosses at the top of the axes."""
    stopped = [each.number + 1 for each in trials if each.nll is None]
    if not stopped:
        return
    axes.plot(
        stopped,
        [0.97] * len(stopped),
        "x",
        color=MUTED,
        markersize=5,
        transform=axes.get_xaxis_transform(),
        label="stopped early",
    )

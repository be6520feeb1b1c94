"""How trainings went, and what temperature did to confidence."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from report.figures.style import (
    BLUE,
    FONT,
    GREY,
    INK,
    MUTED,
    SMALL,
    add_legend,
    draw_intervals,
    name_rows,
    new_figure,
    style_axes,
    title_figure,
    to_png,
    write_empty,
)
from vision.base.wording import count_of
from vision.decision.records import Temperature
from vision.training.records import TrainingHistory


def draw_training_curves(histories: Sequence[TrainingHistory]) -> bytes:
    """Loss and accuracy by epoch, or by a head's strength, a row a candidate; the kept one is marked. PNG."""
    figure = new_figure(0.35 + 2.15 * max(len(histories), 1))
    grid = figure.subplots(max(len(histories), 1), 2, squeeze=False)
    for (left, right), history in zip(grid, histories, strict=False):
        _draw_history(left, right, history)
    if not histories:
        for axes in grid.flat:
            style_axes(axes)
            write_empty(axes, "nothing was trained")
    title_figure(figure, _training_title(histories))
    return to_png(figure)


def draw_temperature(temperature: Temperature) -> bytes:
    """Negative log-likelihood before and after dividing by the temperature, and the gain's interval. PNG."""
    figure = new_figure(1.9)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    before, after = temperature.nll_before, temperature.nll_after
    left.barh([0, 1], [before, after], color=[GREY, BLUE], height=0.55)
    for row, value in enumerate((before, after)):
        left.text(value, row, f" {value:.3f}", va="center", fontsize=FONT, color=INK)
    name_rows(left, ("as trained", f"divided by {temperature.value:.3f}"))
    left.margins(x=0.15)
    verdict = "is used" if temperature.applied else "(none): no other is proven better"
    title_figure(figure, f"Temperature {temperature.value:.2f} {verdict}")
    style_axes(
        left,
        x="negative log-likelihood (nats)",
    )
    right.axvline(0.0, color=INK, linewidth=1)
    draw_intervals(right, [0], [temperature.gain], BLUE if temperature.applied else GREY)
    right.set_yticks([])
    right.set_ylim(0.6, -0.6)
    style_axes(right, x="gain on folds (nats)")
    return to_png(figure)


def _draw_history(left: Axes, right: Axes, history: TrainingHistory) -> None:
    """Epochs, with the head before them as a dotted line; of a head alone its strengths of regularisation."""
    epochs = history.trained_epochs
    rows = epochs or history.strengths
    places = [float(i) if row.regularisation is None else row.regularisation for i, row in enumerate(rows, 1)]
    kept = history.kept
    at = places[rows.index(kept)] if kept in rows else None
    series = [("validation_", BLUE, "validation")]
    if epochs:
        series.insert(0, ("", GREY, "training"))
    marker = "o" if len(rows) < 3 or not epochs else ""
    for axes, name in ((left, "loss"), (right, "accuracy")):
        for prefix, colour, label in series:
            values = [getattr(row, prefix + name) for row in rows]
            axes.plot(places, values, color=colour, linewidth=1.8, marker=marker, label=label)
        if at is not None:
            axes.axvline(at, color=INK, linewidth=0.9, linestyle=(0, (3, 3)))
        if epochs:
            _mark_phases(axes, history)
            _draw_head(axes, history, "validation_" + name)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        elif rows:
            axes.set_xscale("log")
            axes.set_xticks(places, [f"{place:g}".removeprefix("0") for place in places])
            axes.minorticks_off()
    of = " of held-out folds" if kept in history.strengths else ""
    reached = f"{kept.validation_accuracy:.1%}{of}, {history.describe_kept()}" if kept else "no epochs"
    x = "epoch" if epochs or not rows else "inverse L2 strength"
    what = "" if epochs or not rows else "held-out "
    style_axes(left, title=f"{history.candidate}: {reached}", y=f"{what}loss", x=x, grid="y")
    style_axes(right, y=f"{what}accuracy", x=x, grid="y")
    if not rows:
        write_empty(left, "no epochs")
        return
    if epochs:
        add_legend(left, loc="upper right")
    if at is not None:
        place: dict[str, Any] = {"transform": right.get_xaxis_transform(), "fontsize": SMALL, "color": INK}
        right.text(at, 0.02, " kept", **place)


def _draw_head(axes: Axes, history: TrainingHistory, figure: str) -> None:
    """A dotted line at what the best head on fixed features gave before the epochs."""
    if history.strengths:
        best = min(history.strengths, key=lambda row: row.loss)
        axes.axhline(getattr(best, figure), color=MUTED, linewidth=1, linestyle=":", label="head alone")


def _training_title(histories: Sequence[TrainingHistory]) -> str:
    if len(histories) == 1:
        history = histories[0]
        images = count_of(history.num_train_images, "image")
        return f"{history.candidate} was trained on {images} ({history.strategy})"
    return f"How {len(histories)} candidates were trained; the dashed line is what was kept"


def _mark_phases(axes: Axes, history: TrainingHistory) -> None:
    """A thin line where one phase of the epochs ends."""
    epochs = history.trained_epochs
    for number, (former, record) in enumerate(pairwise(epochs), start=1):
        if former.phase != record.phase:
            axes.axvline(number + 0.5, color=MUTED, linewidth=0.8)
            axes.text(
                number + 0.6,
                0.98,
                record.phase,
                transform=axes.get_xaxis_transform(),
                va="top",
                fontsize=SMALL,
                color=MUTED,
            )

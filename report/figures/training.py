"""How trainings went, and what temperature did to confidence."""

from __future__ import annotations

from collections.abc import Sequence
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
from vision.decision.records import Temperature
from vision.training.records import TrainingHistory


def draw_training_curves(histories: Sequence[TrainingHistory]) -> bytes:
    """Loss and accuracy by epoch, one row of panels a candidate; the kept epoch is marked. PNG."""
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
    name_rows(left, ("as trained", f"divided by {temperature.fitted_value:.3f}"))
    left.margins(x=0.15)
    verdict = "is used" if temperature.applied else "is not used: no proven gain"
    title_figure(figure, f"Temperature {temperature.fitted_value:.2f} {verdict}")
    style_axes(
        left,
        x="negative log-likelihood (nats)",
    )
    right.axvline(0.0, color=INK, linewidth=1)
    draw_intervals(right, [0], [temperature.gain], BLUE if temperature.applied else GREY)
    right.set_yticks([])
    right.set_ylim(0.6, -0.6)
    style_axes(right, x="gain on held-out folds (nats)")
    return to_png(figure)


def _draw_history(left: Axes, right: Axes, history: TrainingHistory) -> None:
    epochs = [record.epoch for record in history.epochs]
    marker = "o" if len(epochs) < 3 else ""
    for axes, name in ((left, "loss"), (right, "accuracy")):
        for prefix, colour, label in (("", GREY, "training"), ("validation_", BLUE, "validation")):
            values = [getattr(record, prefix + name) for record in history.epochs]
            axes.plot(epochs, values, color=colour, linewidth=1.8, marker=marker, label=label)
        axes.axvline(history.best_epoch, color=INK, linewidth=0.9, linestyle=(0, (3, 3)))
        _mark_phases(axes, history)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    best = [record for record in history.epochs if record.epoch == history.best_epoch]
    reached = f"{best[0].validation_accuracy:.1%} at epoch {history.best_epoch}" if best else "no epochs"
    style_axes(left, title=f"{history.candidate}: {reached}", y="loss", x="epoch", grid="y")
    style_axes(right, y="accuracy", x="epoch", grid="y")
    if not epochs:
        write_empty(left, "no epochs")
    else:
        add_legend(left, loc="upper right")
        place: dict[str, Any] = {"transform": right.get_xaxis_transform(), "fontsize": SMALL, "color": INK}
        right.text(history.best_epoch, 0.02, " kept", **place)


def _training_title(histories: Sequence[TrainingHistory]) -> str:
    if len(histories) == 1:
        history = histories[0]
        return f"{history.candidate} was trained on {history.num_train_images} images ({history.strategy})"
    return f"How {len(histories)} candidates were trained; the dashed line is the epoch that was kept"


def _mark_phases(axes: Axes, history: TrainingHistory) -> None:
    """A thin line where one phase of a two-phase training ends."""
    for former, record in zip(history.epochs, history.epochs[1:], strict=False):
        if former.phase != record.phase:
            axes.axvline(record.epoch - 0.5, color=MUTED, linewidth=0.8)
            axes.text(
                record.epoch - 0.4,
                0.98,
                f"phase {record.phase}",
                transform=axes.get_xaxis_transform(),
                va="top",
                fontsize=SMALL,
                color=MUTED,
            )

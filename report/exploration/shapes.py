"""Small multiples: how size, aspect, brightness, contrast and blur spread in each class, on shared axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vision.base.outputs import ModelOutputs
from vision.base.record import FloatArray
from vision.data.quality import QUALITY_COLUMNS
from vision.data.records import Manifest, Splits

WIDTH, HEIGHT, BINS = 100, 24, 20
"""Of a small histogram: its units, and its bars."""

_COMMON, _SHOWN = (10, 90), (1, 99)
"""Percentiles: a median outside the first is told; an axis goes from one of the second to the other."""


@dataclass(frozen=True)
class Axis:
    """What one column shows: its title and what its two ends mean."""

    title: str
    low: str
    high: str


@dataclass(frozen=True)
class Cell:
    """One small histogram.

    Attributes:
        outline: points of an SVG polygon.
        median: its place on the axis, in units of `WIDTH`.
        is_odd: nine in ten images of the other classes lie to one side of it, or nearly so.
    """

    outline: str
    median: float
    is_odd: bool


@dataclass(frozen=True)
class _Measure:
    title: str
    values: FloatArray
    tell: Callable[[float], str] | tuple[str, str]


def show_shapes(
    manifest: Manifest, splits: Splits, outputs: ModelOutputs
) -> tuple[list[Axis], dict[str, list[Cell]]]:
    """The axes, and for each class with images its histograms, of the rows of `outputs`."""
    measures = _measure(manifest, outputs)
    names = np.array(list(splits.image_classes.take(outputs.rows)), dtype=np.str_)
    bounds = [np.percentile(each.values, _SHOWN) for each in measures]
    axes = [
        Axis(each.title, *(each.tell if isinstance(each.tell, tuple) else map(each.tell, bound)))
        for each, bound in zip(measures, bounds, strict=True)
    ]
    cells = {
        str(name): [
            _make_cell(each.values[names == name], each.values[names != name], *bound)
            for each, bound in zip(measures, bounds, strict=True)
        ]
        for name in dict.fromkeys(names.tolist())
    }
    return axes, cells


def _measure(manifest: Manifest, outputs: ModelOutputs) -> list[_Measure]:
    columns = [manifest.entries.column(name).numbers() for name in ("width", "height")]
    sides = np.stack(columns, axis=1)[outputs.rows].astype(np.float64)
    quality = {name: outputs.quality[:, i].astype(np.float64) for i, name in enumerate(QUALITY_COLUMNS)}
    return [
        _Measure("size", np.log(sides.max(axis=1)), lambda value: f"{np.exp(value):.0f}"),
        _Measure("aspect", np.log(sides[:, 0] / sides[:, 1]), lambda value: f"{np.exp(value):.1f}"),
        _Measure("brightness", quality["brightness"], ("dark", "bright")),
        _Measure("contrast", quality["contrast"], ("flat", "strong")),
        _Measure("sharpness", quality["sharpness"], ("blur", "sharp")),
    ]


def _make_cell(own: FloatArray, others: FloatArray, low: float, high: float) -> Cell:
    span = high - low
    places = np.full(len(own), 0.5) if span <= 0 else np.clip((own - low) / span, 0, 1)
    counts, _ = np.histogram(places, BINS, (0, 1))
    heights = HEIGHT * (1 - counts / max(counts.max(), 1))
    step = WIDTH / BINS
    tops = [f"{(i + side) * step:g},{height:.1f}" for i, height in enumerate(heights) for side in (0, 1)]
    outline = " ".join([f"0,{HEIGHT}", *tops, f"{WIDTH},{HEIGHT}"])
    common = np.percentile(others, _COMMON) if len(others) else (-np.inf, np.inf)
    middle = float(np.median(own))
    is_odd = not common[0] <= middle <= common[1]
    return Cell(outline, round(WIDTH * float(np.median(places)), 1), is_odd)

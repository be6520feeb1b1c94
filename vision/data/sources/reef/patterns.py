"""Patterns live in body coordinates, so that they bend and foreshorten with the fish that wears them.

`x` runs along the body (0 snout, 1 tail base), `y` across in body lengths (positive up), `t` across in units
of the local half height (-1 belly, 1 back). Each pattern gives the strength of the marking, (h, w) in 0..1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vision.data.sources.reef.noise import Field, sample_field, smooth_step
from vision.data.sources.reef.species import PatternKind


@dataclass(frozen=True)
class Markings:
    """What is fixed for one individual: random numbers in 0..1 that its pattern reads, and noise places."""

    numbers: tuple[float, ...]
    offset: tuple[int, int]
    warp: float


@dataclass(frozen=True)
class BodyGrid:
    """Body coordinates of every pixel of the fish's own picture, all (h, w) float32."""

    x: Field
    y: Field
    t: Field


def draw_markings(rng: np.random.Generator) -> Markings:
    """The pattern seed of one individual."""
    numbers = tuple(float(v) for v in rng.random(24))
    offset = (int(rng.integers(512)), int(rng.integers(512)))
    return Markings(numbers, offset, float(rng.uniform(0.006, 0.014)))


def paint_pattern(kind: PatternKind, grid: BodyGrid, markings: Markings) -> Field:
    """Strength of the marking at every pixel, (h, w); the grid is warped by the individual's noise."""
    columns, rows = grid.x * 170.0, grid.y * 170.0 + 200.0
    warp = sample_field(24.0, columns, rows, markings.offset) * markings.warp
    warped = BodyGrid(grid.x + warp, grid.y + warp, grid.t + 3.0 * warp)
    return _PAINTERS[kind](warped, markings)


def _soft_box(values: Field, centre: float, half: float, soft: float = 0.012) -> Field:
    return smooth_step(np.abs(values - centre), half + soft, half - soft)


def _paint_bars(grid: BodyGrid, m: Markings) -> Field:
    curved = grid.x - 0.05 * grid.t * grid.t
    strength = _soft_box(curved, 0.15 + 0.02 * m.numbers[0], 0.030 + 0.012 * m.numbers[1])
    for i, centre in enumerate((0.42, 0.66, 0.88)):
        half = 0.045 + 0.022 * m.numbers[i + 4]
        np.maximum(strength, _soft_box(curved, centre + 0.05 * (m.numbers[i] - 0.5), half), out=strength)
    return strength


def _paint_bands(grid: BodyGrid, m: Markings) -> Field:
    wave = 0.05 * np.sin(14.0 * grid.x + 6.3 * m.numbers[0])
    phase = (grid.t + wave) * (2.35 + 0.3 * m.numbers[1]) + 0.5 * m.numbers[2]
    return smooth_step(np.abs(phase - np.round(phase)), 0.27, 0.17)


def _paint_saddles(grid: BodyGrid, m: Markings) -> Field:
    strength = np.zeros_like(grid.x)
    for i, centre in enumerate((0.40, 0.76)):
        along = (grid.x - centre - 0.05 * (m.numbers[i] - 0.5)) / (0.125 + 0.03 * m.numbers[i + 3])
        reach = 0.15 + 0.35 * m.numbers[i + 6]
        across = (1.0 - grid.t) / (1.0 + reach)
        np.maximum(strength, smooth_step(along * along + across * across, 1.12, 0.82), out=strength)
    return strength


def _paint_ring(grid: BodyGrid, m: Markings) -> Field:
    dx = grid.x - 0.66 - 0.06 * (m.numbers[0] - 0.5)
    dy = grid.y - 0.04 - 0.03 * (m.numbers[1] - 0.5)
    radius = np.sqrt(dx * dx + dy * dy)
    size = 0.115 + 0.025 * m.numbers[2]
    core = smooth_step(radius, size * 0.62, size * 0.52)
    rim = _soft_box(radius, size, 0.014)
    face = _soft_box(grid.x - 0.03 * grid.t, 0.135, 0.020)
    result: Field = np.maximum(np.maximum(core, rim), 0.85 * face)
    return result


def _paint_dots(grid: BodyGrid, m: Markings) -> Field:
    pitch = 0.085 + 0.015 * m.numbers[0]
    u, v = grid.x / pitch, grid.y / pitch
    v = v + 0.5 * (np.floor(u) % 2)
    row, column = np.floor(v), np.floor(u)
    jitter_u = sample_field(0.0, column, row + 100.0, m.offset) * 0.08
    jitter_v = sample_field(0.0, column, row + 300.0, m.offset) * 0.08
    radius = np.sqrt((u - column - 0.5 - jitter_u) ** 2 + (v - row - 0.5 - jitter_v) ** 2)
    return smooth_step(radius, 0.36, 0.22) * smooth_step(grid.x, 0.14, 0.24)


def _paint_stripes(grid: BodyGrid, m: Markings) -> Field:
    strength = _soft_box(grid.t, 0.42 + 0.10 * (m.numbers[0] - 0.5), 0.11 + 0.04 * m.numbers[1], 0.05)
    low = _soft_box(grid.t, -0.16 + 0.10 * (m.numbers[2] - 0.5), 0.10 + 0.04 * m.numbers[3], 0.05)
    np.maximum(strength, low, out=strength)
    return strength * smooth_step(grid.x, 0.06, 0.16)


def _paint_slanted(grid: BodyGrid, m: Markings) -> Field:
    phase = (grid.x + (0.10 + 0.03 * m.numbers[0]) * grid.t) * (9.0 + 1.6 * m.numbers[1]) + m.numbers[2]
    lines = smooth_step(np.abs(phase - np.round(phase)), 0.28, 0.14)
    reach = -0.35 + 0.3 * (m.numbers[3] - 0.5)
    return lines * smooth_step(grid.t, reach - 0.15, reach + 0.15) * smooth_step(grid.x, 0.22, 0.28)


def _paint_net(grid: BodyGrid, m: Markings) -> Field:
    angle = (grid.x / (0.105 + 0.02 * m.numbers[0])).astype(np.float32)
    rise = grid.y / (0.105 + 0.02 * m.numbers[1])
    first, second = angle + rise, angle - rise
    lines = np.minimum(np.abs(first - np.round(first)), np.abs(second - np.round(second)))
    return smooth_step(lines, 0.17, 0.08) * smooth_step(grid.x, 0.16, 0.24)


def _paint_halves(grid: BodyGrid, m: Markings) -> Field:
    edge = 0.46 + 0.10 * (m.numbers[0] - 0.5) + (0.10 + 0.06 * m.numbers[1]) * grid.t
    return smooth_step(grid.x - edge, 0.03, -0.03)


def _paint_chevrons(grid: BodyGrid, m: Markings) -> Field:
    phase = (grid.x - 0.15 * np.abs(grid.t)) * (6.2 + 1.2 * m.numbers[0]) + m.numbers[1]
    lines = smooth_step(np.abs(phase - np.round(phase)), 0.27, 0.16)
    return lines * smooth_step(grid.x, 0.16, 0.24)


def _paint_blotches(grid: BodyGrid, m: Markings) -> Field:
    field = sample_field(24.0, grid.x * 250.0, grid.y * 250.0 + 256.0, m.offset)
    return smooth_step(field, 0.05, 0.30)


def _paint_plain(grid: BodyGrid, m: Markings) -> Field:
    return (0.10 + 0.10 * m.numbers[0]) * smooth_step(grid.t, 0.0, 1.0)


_PAINTERS: dict[PatternKind, Callable[[BodyGrid, Markings], Field]] = {
    PatternKind.BARS: _paint_bars,
    PatternKind.BANDS: _paint_bands,
    PatternKind.SADDLES: _paint_saddles,
    PatternKind.RING: _paint_ring,
    PatternKind.DOTS: _paint_dots,
    PatternKind.STRIPES: _paint_stripes,
    PatternKind.SLANTED: _paint_slanted,
    PatternKind.NET: _paint_net,
    PatternKind.HALVES: _paint_halves,
    PatternKind.CHEVRONS: _paint_chevrons,
    PatternKind.BLOTCHES: _paint_blotches,
    PatternKind.PLAIN: _paint_plain,
}

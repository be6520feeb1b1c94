"""Draws a fish by computing for every pixel where on the body it lies; outlines are curves, no polygons.

Body coordinates: `x` 0 at the snout and 1 at the tail base, `y` across in body lengths, positive towards the
back. Alpha and colours are float32; colours are RGB in 0..1.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.data.sources.reef.noise import Field, sample_field, smooth_step
from vision.data.sources.reef.patterns import BodyGrid, Markings, draw_markings, paint_pattern
from vision.data.sources.reef.species import FinKind, Shape, Species, TailKind

Colour = NDArray[np.floating[Any]]

_TABLE = 1024
BODY_CENTRE = 0.58


@dataclass(frozen=True)
class Individual:
    """What stays when the same fish is photographed again: outline, pattern, colours."""

    species: Species
    depth: float
    fin_scale: float
    tail_scale: float
    base: Colour
    marking: Colour
    fin: Colour
    belly: float
    contrast: float
    gloss: float
    num_scales: float
    markings: Markings


@dataclass(frozen=True)
class Pose:
    """How the fish is held in one frame: degrees, body lengths, pixels."""

    length: float
    centre: tuple[float, float]
    angle: float
    faces_left: bool
    foreshortening: float
    bend: float
    bend_phase: float
    pectoral: float
    fin_spread: float


@dataclass(frozen=True)
class FishLayer:
    """The drawn fish: colour planes (3, h, w), alpha (h, w), and how much each pixel faces up (h, w)."""

    colour: Colour
    alpha: Field
    back: Field


def draw_individual(species: Species, rng: np.random.Generator) -> Individual:
    """One individual of a species: its own proportions, hues and pattern."""
    hue_shift = float(np.clip(rng.normal(0.0, 0.033), -0.065, 0.065))
    return Individual(
        species=species,
        depth=species.shape.depth * float(rng.uniform(0.93, 1.07)),
        fin_scale=float(rng.uniform(0.85, 1.15)),
        tail_scale=float(rng.uniform(0.9, 1.1)),
        base=_vary_colour(species.colours.base, hue_shift, rng),
        marking=_vary_colour(species.colours.marking, hue_shift, rng),
        fin=_vary_colour((species.colours.fin_hue, 0.45, 0.85), hue_shift, rng),
        belly=float(rng.uniform(0.25, 0.6)),
        contrast=float(rng.uniform(0.78, 0.98)),
        gloss=float(rng.uniform(0.15, 0.45)),
        num_scales=float(rng.uniform(26.0, 36.0)),
        markings=draw_markings(rng),
    )


def _vary_colour(hsv: tuple[float, float, float], hue_shift: float, rng: np.random.Generator) -> Colour:
    saturation, value = np.clip(np.array(hsv[1:]) * rng.uniform(0.58, 1.15, 2), 0.0, 1.0)
    return _plane_colour(*colorsys.hsv_to_rgb((hsv[0] + hue_shift) % 1.0, saturation, value))


def _plane_colour(red: float, green: float, blue: float) -> Colour:
    return np.array((red, green, blue), dtype=np.float32).reshape(3, 1, 1)


def draw_fish(fish: Individual, pose: Pose, size: tuple[int, int], supersampling: int) -> FishLayer:
    """The fish alone on a grid of `size` (width, height) times `supersampling`.

    Pixels outside the fish have alpha 0. Colours are not multiplied by alpha.
    """
    easel = _set_up_easel(fish, pose, size, supersampling)
    _draw_tail(easel, fish, pose)
    _draw_median_fins(easel, fish, pose)
    _draw_fan(easel, fish, _pelvic_fan(fish, near=False))
    tall = 0.56 * fish.depth
    body = easel.cut((-0.02, 1.02), (-tall, tall))
    _draw_body(body, fish)
    _draw_head(easel.cut((-0.02, 0.30), (-tall, tall)), fish)
    _draw_fan(easel, fish, _pelvic_fan(fish, near=True))
    _draw_fan(easel, fish, _pectoral_fan(fish, pose))
    back = smooth_step(easel.y, -0.1 * fish.depth, 0.5 * fish.depth)
    return FishLayer(easel.colour, easel.alpha, back)


def _body_coordinates(pose: Pose, size: tuple[int, int], supersampling: int) -> tuple[Field, Field]:
    """Body coordinates (x, y) of every pixel: turn, mirror, foreshorten, then straighten the bend."""
    width, height = size[0] * supersampling, size[1] * supersampling
    columns = (np.arange(width, dtype=np.float32) + 0.5) / supersampling - pose.centre[0]
    rows = pose.centre[1] - (np.arange(height, dtype=np.float32) + 0.5) / supersampling
    angle = np.float32(np.deg2rad(pose.angle))
    if not pose.faces_left:
        columns = -columns
    cos, sin = np.cos(angle) / pose.length, np.sin(angle) / pose.length
    along = columns[None, :] * cos + rows[:, None] * sin
    across = rows[:, None] * cos - columns[None, :] * sin
    x = along / np.float32(pose.foreshortening) + np.float32(BODY_CENTRE)
    behind = np.maximum(x - 0.25, 0.0)
    across -= np.float32(pose.bend) * behind * np.sin(2.6 * behind + pose.bend_phase)
    across *= 1.0 + np.float32(1.0 - pose.foreshortening) * (x - 0.5) * 0.35
    return x, across


@dataclass(frozen=True)
class _Easel:
    """Colour planes (3, h, w) and alpha (h, w) that grow by painting over, with what each pixel knows.

    `upper` and `lower` are the heights of the back and belly line at the pixel's `x`; `steepness` turns
    vertical distances from these lines into distances across them; `pixels` is the body length in pixels.
    """

    colour: Colour
    alpha: Field
    x: Field
    y: Field
    upper: Field
    lower: Field
    steepness: Field
    pixels: float

    def cut(self, along: tuple[float, float], across: tuple[float, float]) -> _Easel:
        """The part around a range of x and of y; painting on it paints on the whole."""
        step = 4
        x, y = self.x[::step, ::step], self.y[::step, ::step]
        slack = 2.0 * step / self.pixels
        near = (x > along[0] - slack) & (x < along[1] + slack)
        near &= (y > across[0] - slack) & (y < across[1] + slack)
        rows, columns = _cover(np.any(near, axis=1), step), _cover(np.any(near, axis=0), step)
        part = (rows, columns)
        return _Easel(
            self.colour[:, rows, columns],
            self.alpha[part],
            self.x[part],
            self.y[part],
            self.upper[part],
            self.lower[part],
            self.steepness[part],
            self.pixels,
        )

    def paint(self, colour: Colour, alpha: Field) -> None:
        """Lay `colour` ((3, 1, 1) or (3, h, w)) with `alpha` (h, w) over what is there."""
        np.multiply(self.alpha, 1.0 - alpha, out=self.alpha)
        np.add(self.alpha, alpha, out=self.alpha)
        share = alpha / np.maximum(self.alpha, 1e-6)
        np.add(self.colour, (colour - self.colour) * share, out=self.colour)

    def edge(self, distance: Field) -> Field:
        """Alpha of an outline from the distance to it inside (body lengths)."""
        result: Field = np.clip(distance * np.float32(self.pixels) + 0.5, 0.0, 1.0)
        return result


def _cover(used: NDArray[np.bool_], step: int) -> slice:
    indices = np.flatnonzero(used)
    if indices.size == 0:
        return slice(0, 0)
    return slice(int(indices[0]) * step, (int(indices[-1]) + 1) * step)


def _set_up_easel(fish: Individual, pose: Pose, size: tuple[int, int], supersampling: int) -> _Easel:
    x, y = _body_coordinates(pose, size, supersampling)
    s = np.linspace(0.0, 1.0, _TABLE, dtype=np.float32)
    upper, lower = _outline(fish, s)
    steepness = np.sqrt(1.0 + np.minimum(np.gradient(upper, s), 6.0) ** 2).astype(np.float32)
    index = np.clip(x * (_TABLE - 1), 0, _TABLE - 1).astype(np.int32)
    colour, alpha = np.zeros((3, *x.shape), np.float32), np.zeros(x.shape, np.float32)
    pixels = pose.length * supersampling
    return _Easel(colour, alpha, x, y, upper[index], lower[index], steepness[index], pixels)


def _outline(fish: Individual, s: Field) -> tuple[Field, Field]:
    """Heights of the back and the belly line at `s` along the body."""
    shape = fish.species.shape
    upper = _half_height(s, shape, fish.depth, shape.peak)
    return upper, -0.96 * _half_height(s, shape, fish.depth, shape.peak + 0.05)


def _half_height(s: Field, shape: Shape, depth: float, peak: float) -> Field:
    """Half height along the body: a rounded rise to `peak`, then an eased fall to the tail base."""
    rise = np.sin(0.5 * np.pi * np.clip(s / peak, 0.0, 1.0)) ** shape.bluntness
    ease = 0.5 + 0.5 * np.cos(np.pi * np.clip((s - peak) / (0.97 - peak), 0.0, 1.0))
    tail_share = shape.peduncle / depth
    fall = tail_share + (1.0 - tail_share) * ease**0.9
    result: Field = (0.5 * depth * np.where(s < peak, rise, fall)).astype(np.float32)
    return result


def _draw_tail(easel: _Easel, fish: Individual, pose: Pose) -> None:
    shape = fish.species.shape
    spread = shape.tail_spread * pose.fin_spread
    root = 0.5 * shape.peduncle / np.tan(spread)
    length = shape.tail_length * fish.tail_scale
    reach = root + length
    tall = reach * np.sin(spread) * 1.2
    part = easel.cut((0.9, 0.97 + length * 1.1), (-tall, tall))
    dx = part.x - np.float32(0.97 - root)
    radius = np.sqrt(dx * dx + part.y * part.y)
    theta = np.arctan2(part.y, np.maximum(dx, 1e-4))
    q = np.abs(theta) / np.float32(spread)
    out = np.clip((radius - root) / length, 0.0, 1.0)
    waist = 0.0
    if shape.tail is TailKind.FORKED:
        limit = reach * (1.0 - 0.40 * (1.0 - np.minimum(q, 1.0) ** 1.5))
        waist = 0.16
    elif shape.tail is TailKind.ROUNDED:
        limit = reach * (1.0 - 0.10 * q**3)
    else:
        limit = reach * 0.92 / np.maximum(np.cos(theta), 0.3)
    side = (1.0 - q - waist * np.sin(np.pi * out)) * spread
    rays = 0.5 + 0.5 * np.cos(theta * (26.0 / spread) + 4.0 * out * theta)
    alpha = part.edge(np.minimum(limit - radius, side * radius)) * (part.x > 0.9)
    alpha = np.clip(alpha * (0.93 - 0.36 * out + 0.10 * (rays - 0.5)), 0.0, 1.0)
    part.paint(_fin_colour(fish, rays, out, 0.45), alpha)


def _fin_colour(fish: Individual, rays: Field, out: Field, root: float) -> Colour:
    """The body's colour at the root of a fin, the fin's own further out, darker between the rays."""
    blend = smooth_step(out, root, 0.0)
    shaded: Colour = (fish.fin + (fish.base - fish.fin) * blend) * (0.60 + 0.25 * rays + 0.19 * out)
    return shaded


def _draw_median_fins(easel: _Easel, fish: Individual, pose: Pose) -> None:
    shape = fish.species.shape
    height = shape.fin_height * fish.fin_scale * (0.75 + 0.25 * pose.fin_spread)
    spans = {FinKind.LOW: (0.26, 0.90, 0.62, 0.88), FinKind.FRONT: (0.30, 0.88, 0.60, 0.86)}
    start, end, anal_start, anal_end = spans.get(shape.fin, (0.28, 0.93, 0.52, 0.91))
    far = 0.5 * fish.depth + 1.2 * height
    above = easel.cut((start, end + 0.7 * height), (0.0, far))
    _draw_edge_fin(above, fish, above.y - above.upper, (start, end, height))
    below = easel.cut((anal_start, anal_end + 0.7 * height), (-far, 0.0))
    _draw_edge_fin(below, fish, below.lower - below.y, (anal_start, anal_end, 0.82 * height))


def _draw_edge_fin(easel: _Easel, fish: Individual, beyond: Field, span: tuple[float, float, float]) -> None:
    """A fin along the back or belly line; `beyond` is the height above that line."""
    start, end, height = span
    lean = easel.x - 0.55 * np.maximum(beyond, 0.0)
    s = np.clip((lean - start) / (end - start), 0.0, 1.0)
    kind = fish.species.shape.fin
    if kind is FinKind.FRONT:
        profile = s**0.35 * (0.20 + 0.95 * np.exp(-((s - 0.12) ** 2) / 0.035)) * smooth_step(s, 1.0, 0.85)
    elif kind is FinKind.BACK:
        profile = (0.40 + 0.75 * s**1.8) * smooth_step(s, 0.0, 0.14) * smooth_step(s, 1.0, 0.86)
    else:
        profile = (0.80 + 0.25 * np.sin(5.0 * s)) * smooth_step(s, 0.0, 0.22) * smooth_step(s, 1.0, 0.84)
    rays = 0.5 + 0.5 * np.cos(s * ((end - start) * 190.0))
    limit = height * profile * (1.0 - 0.07 * (1.0 - rays) * (s < 0.55))
    out = np.clip(beyond / np.maximum(limit, 1e-3), 0.0, 1.0)
    alpha = easel.edge(np.minimum(limit - beyond, (beyond + 0.03) / easel.steepness))
    alpha = alpha * (0.92 - 0.38 * out + 0.12 * (rays - 0.5)) * ((s > 0.0) & (s < 1.0))
    easel.paint(_fin_colour(fish, rays, out, 0.55), np.clip(alpha, 0.0, 1.0))


@dataclass(frozen=True)
class _Fan:
    """A fin that spreads from a point: base, direction (radians), length, half angle, opacity, brightness."""

    base: tuple[float, float]
    direction: float
    length: float
    spread: float
    opacity: float
    brightness: float


def _pelvic_fan(fish: Individual, *, near: bool) -> _Fan:
    x = 0.36 if near else 0.40
    belly = _outline(fish, np.full(1, x, np.float32))[1]
    length = 0.14 * fish.fin_scale * (0.8 + fish.depth)
    direction, brightness = (-0.95, 0.85) if near else (-0.75, 0.6)
    return _Fan((x, float(belly[0]) + 0.015), direction, length, 0.42, 0.80, brightness)


def _pectoral_fan(fish: Individual, pose: Pose) -> _Fan:
    length = 0.15 * fish.fin_scale * (0.8 + 0.6 * fish.depth)
    return _Fan((0.315, -0.10 * fish.depth), pose.pectoral, length, 0.55, 0.62, 1.0)


def _draw_fan(easel: _Easel, fish: Individual, fan: _Fan) -> None:
    x0, y0 = fan.base
    part = easel.cut((x0 - 0.3 * fan.length, x0 + fan.length), (y0 - fan.length, y0 + fan.length))
    dx, dy = part.x - np.float32(x0), part.y - np.float32(y0)
    cos, sin = np.float32(np.cos(fan.direction)), np.float32(np.sin(fan.direction))
    along, across = dx * cos + dy * sin, dy * cos - dx * sin
    radius = np.sqrt(along * along + across * across)
    q = np.clip(np.abs(np.arctan2(across, np.maximum(along, 1e-4))) / fan.spread, 0.0, 1.0)
    limit = fan.length * np.maximum(np.cos(0.5 * np.pi * q), 0.0) ** 0.45
    out = np.clip(radius / fan.length, 0.0, 1.0)
    rays = 0.5 + 0.5 * np.cos(q * 15.0)
    alpha = part.edge(limit - radius) * (fan.opacity * (1.0 - 0.35 * out) + 0.14 * (rays - 0.5))
    shade = (0.66 + 0.26 * rays + 0.12 * out) * fan.brightness
    part.paint(fish.fin * shade, np.clip(alpha, 0.0, 1.0))


def _body_grid(easel: _Easel) -> BodyGrid:
    half = np.maximum(0.5 * (easel.upper - easel.lower), 1e-3)
    t = np.clip((easel.y - 0.5 * (easel.upper + easel.lower)) / half, -1.3, 1.3)
    return BodyGrid(easel.x, easel.y, t)


def _draw_body(easel: _Easel, fish: Individual) -> None:
    grid = _body_grid(easel)
    x, y, t = grid.x, grid.y, grid.t
    inside = np.minimum(easel.upper - y, y - easel.lower) / easel.steepness
    alpha = easel.edge(np.minimum(inside, x)) * smooth_step(x, 1.0, 0.965)
    marking = paint_pattern(fish.species.pattern, grid, fish.markings) * np.float32(fish.contrast)
    belly = smooth_step(t, -0.05, -0.95) * np.float32(fish.belly)
    colour = fish.base + (_plane_colour(0.97, 0.96, 0.92) - fish.base) * belly
    colour += (fish.marking - colour) * marking
    grain = sample_field(3.0, x * 220.0, y * 220.0 + 250.0, fish.markings.offset)
    light = 0.50 + 0.50 * np.sqrt(np.maximum(1.0 - 0.86 * t * t, 0.0)) + 0.10 * t
    light *= 1.0 - 0.24 * smooth_step(t, 0.25, 1.0)
    light *= 1.0 + 0.10 * _scale_relief(fish, grid) + 0.035 * grain
    colour *= light
    streak = np.exp(-(((t - 0.42) / 0.17) ** 2)) * (0.75 + 0.25 * grain) * smooth_step(x, 0.02, 0.2)
    streak *= np.float32(0.75 * fish.gloss) * smooth_step(x, 1.0, 0.7)
    colour += (1.0 - colour) * streak
    easel.paint(colour, alpha)


def _scale_relief(fish: Individual, grid: BodyGrid) -> Field:
    """Overlapping scales: bright centres, dark hind rims, behind the gill cover; -1..1."""
    u, v = grid.x * np.float32(fish.num_scales), grid.y * np.float32(fish.num_scales * 1.15)
    row = np.floor(v)
    u = u + 0.5 * (row % 2)
    du, dv = u - np.floor(u) - 0.35, v - row - 0.5
    relief: Field = (0.55 - 2.6 * (du * du + 0.6 * dv * dv)) * smooth_step(grid.x, 0.24, 0.32)
    return relief


def _draw_head(easel: _Easel, fish: Individual) -> None:
    grid = _body_grid(easel)
    x, y, t = grid.x, grid.y, grid.t
    pixel = 1.0 / easel.pixels
    dark, white = _plane_colour(0.08, 0.06, 0.06), _plane_colour(1.0, 1.0, 1.0)
    flank = smooth_step(np.abs(t), 0.88, 0.70)
    gill = np.abs(x - (0.262 - 0.045 * t * t))
    easel.paint(dark, 0.55 * smooth_step(gill, 0.010 + pixel, 0.002) * flank)
    rim = np.abs(x - (0.276 - 0.045 * t * t))
    easel.paint(white, 0.22 * smooth_step(rim, 0.010 + pixel, 0.0) * flank)
    middle = 0.5 * (easel.upper + easel.lower)
    lip = np.abs(y - middle + 0.25 * x + 0.004) + np.maximum(x - 0.055, 0.0) * 4.0
    easel.paint(dark, 0.7 * smooth_step(lip, 0.006 + pixel, 0.002) * (x > 0.0) * (np.abs(t) < 0.9))
    _draw_eye(easel, fish)


def _draw_eye(easel: _Easel, fish: Individual) -> None:
    eye_x = 0.135
    eye_y = 0.30 * float(_outline(fish, np.full(1, eye_x, np.float32))[0][0])
    size = 0.030 + 0.016 * min(fish.depth, 0.6) / 0.6
    part = easel.cut((eye_x - 1.3 * size, eye_x + 1.3 * size), (eye_y - 1.3 * size, eye_y + 1.3 * size))
    pixel = 1.0 / part.pixels
    dark, white = _plane_colour(0.04, 0.03, 0.03), _plane_colour(1.0, 1.0, 1.0)
    radius = np.sqrt((part.x - np.float32(eye_x)) ** 2 + (part.y - np.float32(eye_y)) ** 2)
    part.paint(dark, 0.5 * smooth_step(radius, size * 1.25 + pixel, size * 1.1))
    iris = np.minimum(0.55 * fish.base + _plane_colour(0.42, 0.38, 0.25), 1.0)
    part.paint(iris, smooth_step(radius, size + pixel, size - pixel))
    part.paint(dark, smooth_step(radius, 0.62 * size + pixel, 0.62 * size - pixel))
    left, high = np.float32(eye_x - 0.25 * size), np.float32(eye_y + 0.3 * size)
    glint = np.sqrt((part.x - left) ** 2 + (part.y - high) ** 2)
    part.paint(white, 0.95 * smooth_step(glint, 0.26 * size + pixel, 0.1 * size))

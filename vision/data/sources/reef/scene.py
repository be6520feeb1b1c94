"""The place where a fish swims: water, light, floor, rocks, corals, plants, and what floats in between.

A scene is fixed for one individual (a burst of frames shows one place); the camera's pan, the light's phase
and the drifting particles change from frame to frame. Colours are float32 RGB in 0..1, (h, w, 3).
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from vision.data.sources.reef.noise import Field, cut_field, smooth_step

Picture = NDArray[np.floating[Any]]

MARGIN = 12


@dataclass(frozen=True)
class Water:
    """Colour near the surface and in the depth, haze per distance, strength of light rays and caustics."""

    top: Picture
    deep: Picture
    haze: float
    rays: float
    caustics: float
    turbidity: float


def draw_water(rng: np.random.Generator, turbidity: float) -> Water:
    """The water of one scene; `turbidity` 0..1 makes it greener, dimmer and thicker."""
    hue = float(rng.uniform(0.45, 0.62))
    value = float(rng.uniform(0.62, 0.95))
    top = np.array(colorsys.hsv_to_rgb(hue - 0.02, rng.uniform(0.35, 0.65), value), np.float32)
    deep = np.array(colorsys.hsv_to_rgb(hue + 0.02, rng.uniform(0.65, 0.9), value * 0.45), np.float32)
    haze, rays, caustics = (float(v) for v in rng.uniform((0.04, 0.0, 0.05), (0.24, 0.34, 0.38)))
    murk = np.array([0.36, 0.42, 0.25], np.float32) * np.float32(rng.uniform(0.8, 1.15))
    share = np.float32(0.80 * turbidity)
    return Water(
        top=top + (murk * 1.2 - top) * share,
        deep=deep + (murk * 0.7 - deep) * share,
        haze=haze + 0.50 * turbidity * (1.0 - haze),
        rays=rays * (1.0 - 0.8 * turbidity),
        caustics=caustics * (1.0 - 0.9 * turbidity),
        turbidity=turbidity,
    )


def paint_background(water: Water, size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """Water, distance, floor and what grows on it; `size` (width, height) includes `MARGIN` on every side."""
    width, height = size
    rows = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None, None]
    picture = np.broadcast_to(water.top + (water.deep - water.top) * rows**0.8, (height, width, 3)).copy()
    if rng.random() < 0.35:
        _paint_wall(picture, water, rng)
    else:
        _paint_ridges(picture, water, rng)
    _paint_school(picture, water, rng)
    horizon = float(rng.uniform(0.55, 1.02)) * height
    if horizon < height - 4:
        _paint_sand(picture, water, horizon, rng)
    for _ in range(int(rng.integers(2, 7))):
        _paint_growth(picture, water, horizon, rng)
    _blur_in_place(picture, float(rng.uniform(0.0, 1.1)))
    return picture


def _blur_in_place(picture: Picture, radius: float) -> None:
    if radius < 0.35:
        return
    image = Image.fromarray((np.clip(picture, 0.0, 1.0) * 255.0).astype(np.uint8))
    blurred = image.filter(ImageFilter.GaussianBlur(radius))
    picture[...] = np.asarray(blurred, np.float32) / 255.0


def _rock_colour(rng: np.random.Generator) -> Picture:
    hue, saturation, value = rng.uniform((0.0, 0.12, 0.30), (1.0, 0.55, 0.85))
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value), np.float32)


def _relief(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Light and shade of a rough surface lit from the upper left, about -1..1."""
    rough = cut_field(12.0, (shape[0] + 2, shape[1] + 2), rng)
    fine = cut_field(4.0, (shape[0] + 2, shape[1] + 2), rng)
    surface = rough + 0.16 * fine
    relief: Field = 1.5 * (surface[2:, 2:] - surface[:-2, :-2]) + 0.25 * surface[1:-1, 1:-1]
    return np.clip(relief, -1.6, 1.6)


def _paint_wall(picture: Picture, water: Water, rng: np.random.Generator) -> None:
    shape = picture.shape[:2]
    patches = smooth_step(cut_field(24.0, shape, rng), -0.6, 0.6)[..., None]
    first = _rock_colour(rng)
    second = 0.55 * first + 0.30 * _rock_colour(rng)
    colour = (first + (second - first) * patches) * (0.75 + 0.30 * _relief(shape, rng))[..., None]
    near = np.float32(rng.uniform(0.35, 0.85) * (1.0 - 0.5 * water.turbidity))
    cover = smooth_step(cut_field(48.0, shape, rng) + float(rng.uniform(-0.3, 1.2)), -0.15, 0.15)
    picture += (np.clip(colour, 0.0, 1.0) - picture) * (near * cover)[..., None]


def _paint_ridges(picture: Picture, water: Water, rng: np.random.Generator) -> None:
    height, width = picture.shape[:2]
    rows = np.arange(height, dtype=np.float32)[:, None]
    for near in (0.22, 0.45):
        skyline = cut_field(24.0, (1, width), rng)[0] * 7.0 + cut_field(8.0, (1, width), rng)[0] * 2.5
        line = height * float(rng.uniform(0.4, 0.9)) + skyline
        mask = np.clip((rows - line[None, :]) * 0.5, 0.0, 1.0)
        mask = mask * np.float32(near * rng.uniform(0.5, 1.2) * (1.0 - 0.5 * water.turbidity))
        shaded = _rock_colour(rng) * (0.7 + 0.25 * cut_field(8.0, (height, width), rng))[..., None]
        picture += (np.clip(shaded, 0.0, 1.0) - picture) * mask[..., None]


def _paint_school(picture: Picture, water: Water, rng: np.random.Generator) -> None:
    """Small far fish of no species, all swimming one way."""
    if rng.random() > 0.4:
        return
    height, width = picture.shape[:2]
    mask = Image.new("L", (width * 2, height * 2), 0)
    draw = ImageDraw.Draw(mask)
    length, slim = float(rng.uniform(9.0, 22.0)), float(rng.uniform(0.28, 0.5))
    side = 1.0 if rng.random() < 0.5 else -1.0
    middle = rng.uniform((0.1, 0.1), (0.9, 0.7)) * (width * 2, height * 2)
    for place in middle + rng.normal(0.0, (55.0, 26.0), (int(rng.integers(4, 16)), 2)):
        x, y = (float(v) for v in place)
        half = 0.5 * length * slim
        draw.ellipse((x - length / 2, y - half, x + length / 2, y + half), fill=255)
        tail = x + side * length * 0.45
        end = tail + side * length * 0.32
        draw.polygon(((tail, y), (end, y - half), (end - side * length * 0.1, y), (end, y + half)), fill=255)
    strength = np.asarray(mask.reduce(2), np.float32) / 255.0
    strength *= np.float32(rng.uniform(0.25, 0.6) * (1.0 - 0.6 * water.turbidity))
    colour = _rock_colour(rng) * np.float32(rng.uniform(0.5, 1.5))
    picture += (np.clip(colour, 0.0, 1.0) - picture) * strength[..., None]


def _paint_sand(picture: Picture, water: Water, horizon: float, rng: np.random.Generator) -> None:
    height, width = picture.shape[:2]
    rows = np.arange(height, dtype=np.float32)[:, None]
    line = horizon + cut_field(48.0, (1, width), rng) * 3.0
    below = rows - line
    depth = np.clip(below / (0.45 * height), 0.0, 1.0)
    ripple_phase = 26.0 / (0.35 + depth) + 1.1 * cut_field(24.0, (height, width), rng)
    texture = 0.88 + 0.05 * np.sin(ripple_phase) * depth + 0.05 * cut_field(2.0, (height, width), rng)
    texture = texture + 0.06 * cut_field(16.0, (height, width), rng)
    hue, saturation, value = rng.uniform((0.08, 0.10, 0.72), (0.13, 0.32, 0.98))
    colour = np.array(colorsys.hsv_to_rgb(hue, saturation, value), np.float32) * (0.65 + 0.35 * water.top)
    near = (0.42 + 0.55 * depth) * (1.0 - 0.45 * water.turbidity)
    mask = np.clip(below * 0.6, 0.0, 1.0) * near
    picture += (np.clip(colour * texture[..., None], 0.0, 1.0) - picture) * mask[..., None]


def _paint_growth(picture: Picture, water: Water, horizon: float, rng: np.random.Generator) -> None:
    """One rock, coral, sponge or plant, rounded by light from above, hazed by distance."""
    height, width = picture.shape[:2]
    foot = float(rng.uniform(min(horizon + 4.0, height * 0.9), height + 6.0))
    place = float(rng.uniform(-0.02, 1.02)) * width
    size = float(rng.uniform(0.16, 0.46)) * height * float(0.6 + 0.6 * foot / height)
    draw_shape = _GROWTHS[int(rng.integers(len(_GROWTHS)))]
    mask_image = Image.new("L", (width * 2, height * 2), 0)
    draw_shape(ImageDraw.Draw(mask_image), place * 2.0, foot * 2.0, size * 2.0, rng)
    mask_image = mask_image.reduce(2)
    mask = np.asarray(mask_image, np.float32) / 255.0
    soft = np.asarray(mask_image.filter(ImageFilter.BoxBlur(2)), np.float32) / 255.0
    light = np.zeros_like(mask)
    light[2:, 2:] = soft[2:, 2:] - soft[:-2, :-2]
    hue, saturation, value = rng.uniform((0.0, 0.30, 0.45), (1.0, 0.80, 1.00))
    colour = np.array(colorsys.hsv_to_rgb(hue, saturation, value), np.float32)
    rows = np.arange(height, dtype=np.float32)[:, None]
    rise = np.clip((foot - rows) / max(size, 1.0), 0.0, 1.2)
    shade = 0.50 + 0.40 * rise + 1.1 * light + 0.10 * cut_field(4.0, (height, width), rng)
    near = np.float32(rng.uniform(0.45, 0.95) * (1.0 - 0.5 * water.turbidity))
    lit = np.clip(colour * shade[..., None], 0.0, 1.0)
    picture += (lit - picture) * (mask * near)[..., None]


_Growth = Callable[[ImageDraw.ImageDraw, float, float, float, np.random.Generator], None]


def _draw_rock(draw: ImageDraw.ImageDraw, x: float, y: float, size: float, rng: np.random.Generator) -> None:
    angles = np.linspace(0.0, 2.0 * np.pi, 60, endpoint=False)
    phases = rng.uniform(0.0, 6.28, 4)
    wobble = 1.0 + sum(0.16 / (k + 1) * np.sin((k + 2) * angles + phases[k]) for k in range(4))
    wide = size * float(rng.uniform(0.6, 1.1))
    outline = np.stack([x + wide * wobble * np.cos(angles), y - 0.6 * size * wobble * np.sin(angles)], axis=1)
    draw.polygon([(float(a), float(b)) for a, b in outline], fill=255)


def _draw_branches(
    draw: ImageDraw.ImageDraw, x: float, y: float, size: float, rng: np.random.Generator
) -> None:
    tips = [(x, y, -np.pi / 2, size * 0.34, max(size * 0.10, 3.0))]
    for _ in range(4):
        grown = []
        for tip_x, tip_y, angle, length, thick in tips:
            for turn in (-1.0, 1.0):
                direction = angle + turn * float(rng.uniform(0.2, 0.6))
                end_x = tip_x + length * float(np.cos(direction))
                end_y = tip_y + length * float(np.sin(direction))
                draw.line((tip_x, tip_y, end_x, end_y), fill=255, width=max(2, round(thick)))
                half = thick / 2
                draw.ellipse((end_x - half, end_y - half, end_x + half, end_y + half), fill=255)
                grown.append((end_x, end_y, direction, length * 0.76, thick * 0.78))
        tips = grown


def _draw_blades(
    draw: ImageDraw.ImageDraw, x: float, y: float, size: float, rng: np.random.Generator
) -> None:
    sway = float(rng.uniform(-0.5, 0.5))
    heights = np.linspace(0.0, 1.0, 9)
    for _ in range(int(rng.integers(5, 14))):
        tall = size * float(rng.uniform(0.6, 1.5))
        root = x + size * float(rng.normal(0.0, 0.28))
        phase, curl = float(rng.uniform(0.0, 6.28)), float(rng.uniform(0.03, 0.12))
        across = root + tall * (sway * heights**2 + curl * np.sin(5.0 * heights + phase))
        points = [(float(a), float(b)) for a, b in zip(across, y - tall * heights, strict=True)]
        draw.line(points, fill=255, width=int(rng.integers(2, 6)), joint="curve")


def _draw_tubes(draw: ImageDraw.ImageDraw, x: float, y: float, size: float, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(3, 7))):
        wide = size * float(rng.uniform(0.10, 0.20))
        tall = size * float(rng.uniform(0.5, 1.2))
        left = x + size * float(rng.uniform(-0.5, 0.4))
        draw.rounded_rectangle((left, y - tall, left + wide, y + 4.0), radius=wide / 2, fill=255)
        mouth = wide * 0.28
        middle = left + wide / 2
        draw.ellipse((middle - mouth, y - tall + 1.0, middle + mouth, y - tall + 1.0 + mouth), fill=90)


def _draw_sea_fan(
    draw: ImageDraw.ImageDraw, x: float, y: float, size: float, rng: np.random.Generator
) -> None:
    for angle in np.linspace(-0.75, 0.75, 15) + rng.normal(0.0, 0.03, 15):
        reach = size * float(rng.uniform(0.85, 1.15))
        steps = np.linspace(0.15, 1.0, 6) * reach
        bow = angle * (0.6 + 0.4 * steps / reach)
        points = [
            (x + float(s * np.sin(b)), y - float(s * np.cos(b))) for s, b in zip(steps, bow, strict=True)
        ]
        draw.line([(x, y), *points], fill=255, width=3)
    for share in (0.45, 0.65, 0.85):
        radius = size * share
        draw.arc((x - radius, y - radius, x + radius, y + radius), 230, 310, fill=200, width=2)


_GROWTHS: tuple[_Growth, ...] = (
    _draw_rock,
    _draw_rock,
    _draw_branches,
    _draw_blades,
    _draw_tubes,
    _draw_sea_fan,
)


def paint_light(
    water: Water, size: tuple[int, int], place: np.random.Generator, moment: np.random.Generator
) -> tuple[Field, Field]:
    """Light rays (added) and caustics (multiplied around 0) of one frame, each (h, w).

    `place` draws what a burst shares, direction and position of the rays; `moment` the phase of the caustics.
    """
    width, height = size
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)[None, :]
    beam = cut_field(24.0, (1, 512), place)[0]
    slant = float(place.uniform(-0.6, 0.6))
    index = (columns + slant * rows + 3.0 * float(moment.random())).astype(np.int32) & 511
    rays = np.clip(beam[index], 0.0, 2.0) * np.exp(-1.9 * rows / height) * np.float32(water.rays * 0.55)
    first = cut_field(16.0, (height, width), moment)
    second = cut_field(12.0, (height, width), moment)
    web = np.clip(1.0 - 0.9 * np.abs(first + 0.6 * second), 0.0, 1.0)
    caustics = (web**3 - 0.18) * np.float32(water.caustics)
    return rays, caustics


def paint_floating(picture: Picture, water: Water, rng: np.random.Generator) -> None:
    """Particles and bubbles between fish and camera, painted in place."""
    height, width = picture.shape[:2]
    count = int(rng.integers(4, 22) * (1.0 + 5.0 * water.turbidity))
    layer = Image.new("L", (width * 2, height * 2), 0)
    draw = ImageDraw.Draw(layer)
    places = rng.random((count, 2)) * (width * 2, height * 2)
    radii = rng.gamma(2.0, 0.55, count) + 0.4
    for (x, y), radius in zip(places, radii, strict=True):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=int(rng.integers(70, 190)))
    if rng.random() < 0.3:
        _draw_bubbles(draw, width, height, rng)
    strength = np.asarray(layer.filter(ImageFilter.BoxBlur(1)).reduce(2), np.float32) / 255.0
    glow = np.minimum(water.top * 0.5 + 0.5, 1.0)
    picture += (glow - picture) * (0.8 * strength)[..., None]


def _draw_bubbles(draw: ImageDraw.ImageDraw, width: int, height: int, rng: np.random.Generator) -> None:
    x, y = float(rng.uniform(0, 2 * width)), float(rng.uniform(0.3, 1.0)) * 2 * height
    for _ in range(int(rng.integers(3, 9))):
        radius = float(rng.uniform(2.5, 7.0))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=35, outline=190, width=1)
        glint = radius * 0.4
        draw.ellipse((x - glint, y - glint - 1, x - glint + 2, y - glint + 1), fill=255)
        x += float(rng.normal(0.0, 5.0))
        y -= float(rng.uniform(10.0, 34.0))


def paint_foreground(picture: Picture, water: Water, rng: np.random.Generator) -> None:
    """Now and then a plant, out of focus and close to the camera, covers a lower corner; painted in place."""
    if rng.random() > 0.3:
        return
    height, width = picture.shape[:2]
    mask_image = Image.new("L", (width, height), 0)
    corner = float(rng.choice((0.04, 0.96))) * width
    _draw_blades(ImageDraw.Draw(mask_image), corner, height + 6.0, 0.34 * height, rng)
    mask = np.asarray(mask_image.filter(ImageFilter.GaussianBlur(2.2)), np.float32) / 255.0
    colour = water.deep * np.float32(0.5) + _rock_colour(rng) * np.float32(0.35)
    picture += (colour - picture) * (0.9 * mask)[..., None]

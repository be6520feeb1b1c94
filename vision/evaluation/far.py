"""Far unknowns: pictures of no class. Noise, blank, letters, textures, and crops of two photographs.

They need no download, so that every run can ask what a model answers to them. Each kind is varied on
purpose (scale, colour, contrast, several makes): an even spread of its makes, in the same order on every
run with the same generator state. Nothing here is used to fit anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vision.base.record import FloatArray, ImageArray
from vision.config.data import ImageSettings
from vision.config.decision import FAR_KINDS, StrangerFolder
from vision.data.sources.strangers import read_strangers

GLYPHS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789&?!#%"

_Make = Callable[[int, np.random.Generator], FloatArray]


def make_far_images(kind: str, num: int, size: int, rng: np.random.Generator) -> ImageArray:
    """Far unknowns of one kind, (num, size, size, 3) uint8; every make of the kind in turn.

    noise: uniform, Gaussian, salt and pepper, each grey or coloured, in grains of 1 to size / 8 pixels.
    blank: a flat colour, a gradient, a flat colour with sensor noise, with vignetting. letters: one to twelve
    glyphs, dark on light or light on dark. textures: gratings, checkerboards, stripes, cells, plasma.
    photographs: square crops of the temple and the flower that scikit-learn ships, half of them mirrored.

    Raises:
        ValueError: the kind is not known, or a number is out of range.
    """
    if kind not in FAR_KINDS:
        raise ValueError(f"Far kind is {kind!r}; expected one of {', '.join(FAR_KINDS)}.")
    if num < 0 or size < 8:
        raise ValueError(
            f"Asked for {num} images of {size} pixels; expected at least 0 of at least 8 pixels."
        )
    images = np.empty((num, size, size, 3), dtype=np.uint8)
    makes = _MAKES[kind]
    for i in range(num):
        image = makes[i % len(makes)](size, rng)
        images[i] = np.clip(np.round(image), 0, 255).astype(np.uint8)
    return images


def make_all_far(
    num: int, images: ImageSettings, seed: int, strangers: Sequence[StrangerFolder] = ()
) -> dict[str, ImageArray]:
    """Far unknowns of every kind, kind -> (m, size, size, 3) uint8; the same for the same seed.

    Of a folder of the user's own, which is one more kind, at most `num` pictures are read.

    Raises:
        ValueError: a number is out of range.
        SourceError: a folder is missing, or holds no usable image.
    """
    rng = np.random.default_rng(seed)
    made = {kind: make_far_images(kind, num, images.size, rng) for kind in FAR_KINDS}
    return made | {each.name: read_strangers(each.path, num, images) for each in strangers}


# --- noise ----------------------------------------------------------------------------------------------


def _uniform_noise(size: int, rng: np.random.Generator) -> FloatArray:
    return _grains(size, rng, lambda shape: rng.uniform(0, 255, shape))


def _gaussian_noise(size: int, rng: np.random.Generator) -> FloatArray:
    mean, sd = rng.uniform(60, 195), rng.uniform(25, 80)
    return _grains(size, rng, lambda shape: rng.normal(mean, sd, shape))


def _salt_and_pepper(size: int, rng: np.random.Generator) -> FloatArray:
    share, ground = rng.uniform(0.1, 0.5), rng.uniform(0, 255)
    colours = np.array([0.0, ground, 255.0])
    odds = [share / 2, 1 - share, share / 2]
    return _grains(size, rng, lambda shape: rng.choice(colours, size=shape, p=odds))


def _grains(
    size: int, rng: np.random.Generator, draw: Callable[[tuple[int, int, int]], FloatArray]
) -> FloatArray:
    """Noise in grains of 1, 2, 4, ... pixels up to size / 8, grey or coloured."""
    grain = 2 ** int(rng.integers(0, max(1, int(math.log2(size / 8)) + 1)))
    cells = math.ceil(size / grain)
    values = draw((cells, cells, 3 if rng.random() < 0.5 else 1))
    enlarged = values.repeat(grain, axis=0).repeat(grain, axis=1)[:size, :size]
    return np.broadcast_to(enlarged, (size, size, 3))


# --- blank ----------------------------------------------------------------------------------------------


def _flat(size: int, rng: np.random.Generator) -> FloatArray:
    return np.broadcast_to(_colour(rng), (size, size, 3))


def _gradient(size: int, rng: np.random.Generator) -> FloatArray:
    along = _ramp(size, rng.uniform(0, 2 * math.pi))
    share = ((along + 1) / 2)[:, :, None]
    return share * _colour(rng) + (1 - share) * _colour(rng)


def _flat_with_sensor_noise(size: int, rng: np.random.Generator) -> FloatArray:
    return _flat(size, rng) + rng.normal(0, rng.uniform(0.5, 4.0), (size, size, 3))


def _flat_with_vignette(size: int, rng: np.random.Generator) -> FloatArray:
    axis = np.linspace(-1, 1, size)
    radius = np.hypot(axis[:, None] - rng.uniform(-0.3, 0.3), axis[None, :] - rng.uniform(-0.3, 0.3))
    shade = 1 - rng.uniform(0.05, 0.4) * radius**2
    return _flat(size, rng) * shade[:, :, None] + rng.normal(0, 1.0, (size, size, 3))


# --- letters --------------------------------------------------------------------------------------------


def _letters(
    size: int, rng: np.random.Generator, nums: tuple[int, int], scale: tuple[float, float]
) -> FloatArray:
    """Some glyphs of Pillow's own font, each upright or a little turned, ink far from the ground."""
    num = int(rng.integers(*nums, endpoint=True))
    light, dark = rng.uniform(170, 255, 3), rng.uniform(0, 85, 3)
    ground, ink = (light, dark) if rng.random() < 0.5 else (dark, light)
    mask = Image.new("L", (size, size), 0)
    for _ in range(num):
        side = max(6, round(size * rng.uniform(*scale)))
        glyph = _glyph(str(rng.choice(list(GLYPHS))), side, rng.uniform(-25, 25))
        corner = rng.integers(0, max(1, size - side + 1), 2)
        mask.paste(255, (int(corner[0]), int(corner[1])), glyph)
    share = np.asarray(mask, dtype=np.float64)[:, :, None] / 255
    return share * ink + (1 - share) * ground


def _glyph(character: str, side: int, degrees: float) -> Image.Image:
    """A mask of one glyph, centred in a square of `side` pixels."""
    tile = Image.new("L", (side, side), 0)
    ImageDraw.Draw(tile).text(
        (side / 2, side / 2), character, fill=255, font=ImageFont.load_default(side), anchor="mm"
    )
    return tile.rotate(degrees, Image.Resampling.BILINEAR)


# --- textures -------------------------------------------------------------------------------------------


def _grating(size: int, rng: np.random.Generator) -> FloatArray:
    phase = _ramp(size, rng.uniform(0, 2 * math.pi)) * math.pi * rng.uniform(2, max(3, size / 6))
    wave = np.sin(phase + rng.uniform(0, 2 * math.pi))
    return _between(wave if rng.random() < 0.5 else wave * np.sin(phase.T + rng.uniform(0, 6)), rng)


def _checkerboard(size: int, rng: np.random.Generator) -> FloatArray:
    cell = int(rng.integers(max(2, size // 32), max(3, size // 4)))
    places = (np.arange(size) + int(rng.integers(0, cell))) // cell
    return _between(((places[:, None] + places[None, :]) % 2) * 2.0 - 1, rng)


def _stripes(size: int, rng: np.random.Generator) -> FloatArray:
    phase = _ramp(size, rng.uniform(0, 2 * math.pi)) * rng.uniform(2, max(3, size / 6))
    return _between(np.where(np.mod(phase, 1.0) < rng.uniform(0.25, 0.75), 1.0, -1.0), rng)


def _cells(size: int, rng: np.random.Generator) -> FloatArray:
    """Voronoi cells: flat, or shaded by the distance from their seeds."""
    seeds = rng.uniform(0, size, (int(rng.integers(8, 80)), 2))
    axis = np.arange(size)
    rows = (axis[:, None] - seeds[:, 0]) ** 2
    columns = (axis[:, None] - seeds[:, 1]) ** 2
    squares = rows[:, None, :] + columns[None, :, :]
    if rng.random() < 0.5:
        return np.asarray(rng.uniform(0, 255, (len(seeds), 3))[squares.argmin(axis=2)])
    distance = np.sqrt(squares.min(axis=2))
    return _between(2 * distance / distance.max() - 1, rng)


def _plasma(size: int, rng: np.random.Generator) -> FloatArray:
    """Sums of random waves, one sum for each channel: smooth clouds of saturated colour."""
    axis = np.arange(size) / size
    image = np.zeros((size, size, 3))
    for channel in range(3):
        for frequency in rng.uniform(-8, 8, (6, 2)):
            wave = frequency[0] * axis[:, None] + frequency[1] * axis[None, :]
            image[:, :, channel] += np.sin(2 * math.pi * (wave + rng.random()))
    spread = np.abs(image).max()
    return np.asarray(127.5 + 127.5 * image / spread)


# --- photographs ----------------------------------------------------------------------------------------


def _crop(size: int, rng: np.random.Generator, name: str) -> FloatArray:
    """A square of a fifth to all of the photograph's height, half of them mirrored."""
    picture = _load_photograph(name)
    side = int(rng.integers(picture.height // 5, picture.height + 1))
    left, top = (int(rng.integers(0, room + 1)) for room in (picture.width - side, picture.height - side))
    box = left, top, left + side, top + side
    crop = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR, box=box), np.float64)
    return crop[:, ::-1] if rng.random() < 0.5 else crop


@lru_cache
def _load_photograph(name: str) -> Image.Image:
    from sklearn.datasets import load_sample_image

    return Image.fromarray(load_sample_image(name))


# --- private --------------------------------------------------------------------------------------------


def _colour(rng: np.random.Generator) -> FloatArray:
    return rng.uniform(0, 255, 3)


def _between(wave: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A wave (size, size) in [-1, 1] as a mixture of two colours that differ by 60 or more in brightness."""
    first, second = _colour(rng), _colour(rng)
    while abs(float(first.mean() - second.mean())) < 60:
        second = _colour(rng)
    share = ((wave + 1) / 2)[:, :, None]
    return share * first + (1 - share) * second


def _ramp(size: int, angle: float) -> FloatArray:
    """Position along a direction, (size, size), from about -1 to 1."""
    axis = np.linspace(-1, 1, size)
    return (math.cos(angle) * axis[:, None] + math.sin(angle) * axis[None, :]) / math.sqrt(2)


_MAKES: dict[str, tuple[_Make, ...]] = {
    "noise": (_uniform_noise, _gaussian_noise, _salt_and_pepper),
    "blank": (_flat, _gradient, _flat_with_sensor_noise, _flat_with_vignette),
    "letters": (
        partial(_letters, nums=(1, 1), scale=(0.5, 0.95)),
        partial(_letters, nums=(2, 4), scale=(0.25, 0.55)),
        partial(_letters, nums=(5, 12), scale=(0.12, 0.3)),
    ),
    "textures": (_grating, _checkerboard, _stripes, _cells, _plasma),
    "photographs": (partial(_crop, name="china.jpg"), partial(_crop, name="flower.jpg")),
}

"""Paints a picture of one individual: fish, scene and camera, each with its own random stream.

`PAINTER_VERSION` is part of every reef's digest: whoever changes a pixel raises it.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFilter

from vision.data.sources.reef.fish import BODY_CENTRE, FishLayer, Individual, Pose, draw_fish, draw_individual
from vision.data.sources.reef.noise import cut_field
from vision.data.sources.reef.scene import (
    MARGIN,
    Picture,
    Water,
    draw_water,
    paint_background,
    paint_floating,
    paint_foreground,
    paint_light,
)
from vision.data.sources.reef.species import SPECIES, Species

PAINTER_VERSION = 2
WIDTH, HEIGHT = 192, 144
SUPERSAMPLING = 2

_NUM_STREAMS = 4
_MOMENT_STREAM = 4
FRAMES_STREAM = 5


@dataclass(frozen=True)
class Camera:
    """Exposure and colour balance factors, noise, blur in pixels, JPEG quality."""

    exposure: float
    balance: tuple[float, float, float]
    noise: float
    blur: float
    quality: int


def seed_individual(seed: int, species_name: str, individual: int) -> list[int]:
    """What every random stream of an individual starts from; names, not positions, tell species apart."""
    return [seed, zlib.crc32(species_name.encode()), individual]


def paint_image(
    seed: int, species_name: str, individual: int, frame: int, *, turbidity: float = 0.0
) -> tuple[Image.Image, int]:
    """The picture of one frame and the JPEG quality that its camera uses.

    Depends on nothing but the arguments: more images never change earlier ones.
    """
    species = SPECIES[species_name]
    key = seed_individual(seed, species_name, individual)
    fish_rng, scene_rng, light_rng, pose_rng = (
        np.random.default_rng([*key, stream]) for stream in range(_NUM_STREAMS)
    )
    moment_rng = np.random.default_rng([*key, _MOMENT_STREAM, frame])
    fish = draw_individual(species, fish_rng)
    pose = _drift_pose(_draw_pose(species, pose_rng), moment_rng)
    water = draw_water(scene_rng, turbidity)
    camera = _drift_camera(_draw_camera(light_rng, turbidity), moment_rng)
    background = paint_background(water, (WIDTH + 2 * MARGIN, HEIGHT + 2 * MARGIN), scene_rng)
    top, left = (int(v) for v in moment_rng.integers(MARGIN - 6, MARGIN + 7, 2))
    picture = background[top : top + HEIGHT, left : left + WIDTH].copy()
    _compose(picture, fish, pose, water, light_rng, moment_rng)
    paint_foreground(picture, water, light_rng)
    return _expose(picture, camera, moment_rng), camera.quality


def encode_jpeg(image: Image.Image, quality: int, *, turned: bool = False) -> bytes:
    """JPEG bytes; `turned` stores the pixels on their side with an EXIF orientation that turns them back."""
    buffer = io.BytesIO()
    if turned:
        exif = Image.Exif()
        exif[0x0112] = 6
        sideways = image.transpose(Image.Transpose.ROTATE_90)
        sideways.save(buffer, "JPEG", quality=quality, exif=exif)
    else:
        image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _draw_pose(species: Species, rng: np.random.Generator) -> Pose:
    largest = min(0.70, 0.62 * HEIGHT / (WIDTH * species.shape.depth))
    length = WIDTH * float(rng.uniform(0.61, 1.02)) * largest * 1.14
    return Pose(
        length=length,
        centre=(
            _place(WIDTH, 0.60 * length, float(rng.normal(0.5, 0.18))),
            _place(HEIGHT, 0.60 * length * species.shape.depth, float(rng.normal(0.5, 0.17))),
        ),
        angle=float(np.clip(rng.normal(0.0, 16.0), -36.0, 36.0)),
        faces_left=bool(rng.random() < 0.5),
        foreshortening=float(rng.uniform(0.84, 1.0)),
        bend=float(rng.uniform(-0.20, 0.20)),
        bend_phase=float(rng.uniform(-0.4, 0.4)),
        pectoral=float(rng.uniform(-0.75, 0.1)),
        fin_spread=float(rng.uniform(0.8, 1.1)),
    )


def _place(side: int, reach: float, share: float) -> float:
    """A coordinate around `share` of the side that keeps nearly all of the fish in the picture."""
    low = min(0.92 * reach, 0.5 * side)
    return float(np.clip(share * side, low, side - low))


def _drift_pose(pose: Pose, rng: np.random.Generator) -> Pose:
    """The same fish a moment later."""
    shift = rng.normal(0.0, 5.0, 2)
    return replace(
        pose,
        length=pose.length * float(rng.uniform(0.94, 1.06)),
        centre=(pose.centre[0] + float(shift[0]), pose.centre[1] + float(shift[1])),
        angle=pose.angle + float(rng.normal(0.0, 5.0)),
        foreshortening=float(np.clip(pose.foreshortening + rng.normal(0.0, 0.05), 0.76, 1.0)),
        bend=float(np.clip(pose.bend + rng.normal(0.0, 0.10), -0.24, 0.24)),
        bend_phase=pose.bend_phase + float(rng.normal(0.0, 0.3)),
        pectoral=float(rng.uniform(-0.8, 0.2)),
        fin_spread=float(np.clip(pose.fin_spread + rng.normal(0.0, 0.06), 0.75, 1.12)),
    )


def _draw_camera(rng: np.random.Generator, turbidity: float) -> Camera:
    return Camera(
        exposure=float(rng.uniform(0.74, 1.60)) * (1.0 - 0.35 * turbidity),
        balance=(float(rng.uniform(0.82, 1.18)), 1.0, float(rng.uniform(0.82, 1.18))),
        noise=float(rng.uniform(0.003, 0.018)) * (1.0 + 0.8 * turbidity),
        blur=float(rng.uniform(0.0, 0.7)) + 0.7 * turbidity,
        quality=int(rng.integers(52, 92)),
    )


def _drift_camera(camera: Camera, rng: np.random.Generator) -> Camera:
    quality = int(np.clip(camera.quality + rng.integers(-3, 4), 45, 95))
    return replace(camera, exposure=camera.exposure * float(rng.uniform(0.92, 1.08)), quality=quality)


def _compose(
    picture: Picture,
    fish: Individual,
    pose: Pose,
    water: Water,
    place: np.random.Generator,
    moment: np.random.Generator,
) -> None:
    """Lay the fish into the scene, lit by the same light, hazed by its distance; in place."""
    rays, caustics = paint_light(water, (WIDTH, HEIGHT), place, moment)
    left, top, width, height = _bounding_box(fish, pose)
    near = replace(pose, centre=(pose.centre[0] - left, pose.centre[1] - top))
    layer = draw_fish(fish, near, (width, height), SUPERSAMPLING)
    colour, alpha, back = _shrink(layer)
    box = (slice(top, top + height), slice(left, left + width))
    floor = np.linspace(-0.9, 1.2, HEIGHT, dtype=np.float32).clip(0.0, 1.0)[:, None]
    picture *= (1.0 + 0.8 * caustics * floor)[..., None]
    tint = (0.70 + 0.30 * water.top / max(float(water.top.max()), 1e-3)).astype(np.float32)
    lit = colour * tint * (1.08 + 1.3 * caustics[box] * back)[..., None]
    haze = np.float32(water.haze * moment.uniform(0.9, 1.1))
    veil = 0.55 * water.top + 0.45 * water.deep
    lit += (veil - lit) * haze
    picture[box] += (lit - picture[box]) * alpha[..., None]
    picture += rays[..., None] * water.top
    paint_floating(picture, water, moment)


def _bounding_box(fish: Individual, pose: Pose) -> tuple[int, int, int, int]:
    """Left, top, width, height of the part of the picture that the fish may cover."""
    shape = fish.species.shape
    half = 0.55 * shape.depth + 1.2 * shape.fin_height + 0.05
    angle = np.deg2rad(pose.angle)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    side = 1.0 if pose.faces_left else -1.0
    ends = (-BODY_CENTRE - 0.02, 1.06 + shape.tail_length * fish.tail_scale - BODY_CENTRE)
    corners = [(u * pose.foreshortening, v) for u in ends for v in (-half, half)]
    across = [pose.centre[0] + side * pose.length * (u * cos - v * sin) for u, v in corners]
    down = [pose.centre[1] - pose.length * (u * sin + v * cos) for u, v in corners]
    left, right = max(0, int(min(across))), min(WIDTH, int(max(across)) + 1)
    top, bottom = max(0, int(min(down))), min(HEIGHT, int(max(down)) + 1)
    return left, top, right - left, bottom - top


def _shrink(layer: FishLayer) -> tuple[Picture, Picture, Picture]:
    """Average the supersampled pixels; colours are weighted by alpha and come out as (h, w, 3)."""
    alpha = _halve(layer.alpha)
    weighted = np.moveaxis(_halve(layer.colour * layer.alpha), 0, -1)
    return weighted / np.maximum(alpha, 1e-4)[..., None], alpha, _halve(layer.back)


def _halve(planes: Picture) -> Picture:
    """Mean of every `SUPERSAMPLING` x `SUPERSAMPLING` block of the last two axes."""
    step = SUPERSAMPLING
    total = sum(planes[..., i::step, j::step] for i in range(step) for j in range(step))
    return np.asarray(total, np.float32) / np.float32(step * step)


def _expose(picture: Picture, camera: Camera, rng: np.random.Generator) -> Image.Image:
    """What the sensor makes of the light: exposure, colour balance, vignette, blur, noise."""
    rows = np.linspace(-1.0, 1.0, HEIGHT, dtype=np.float32)[:, None]
    columns = np.linspace(-1.0, 1.0, WIDTH, dtype=np.float32)[None, :]
    vignette = 1.0 - 0.13 * (rows * rows + columns * columns)
    factors = np.array(camera.balance, np.float32) * np.float32(camera.exposure)
    picture = picture * (vignette[..., None] * factors)
    grain = cut_field(0.0, (HEIGHT, WIDTH), rng) * np.float32(camera.noise)
    picture = picture + grain[..., None]
    picture[..., 0] += cut_field(0.0, (HEIGHT, WIDTH), rng) * np.float32(0.5 * camera.noise)
    picture[..., 2] += cut_field(0.0, (HEIGHT, WIDTH), rng) * np.float32(0.5 * camera.noise)
    picture = picture / np.maximum(1.0, 0.25 + 0.75 * picture)
    image = Image.fromarray((np.clip(picture, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8))
    return _blur(image, camera.blur)


def _blur(image: Image.Image, radius: float) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(radius)) if radius >= 0.3 else image

"""Photograph-like JPEGs to ask a service with."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from vision.config.data import ReefSource
from vision.data.sources.reef.dataset import paint_bytes, plan_reef

SIDES = 640, 480
IMAGE_SEED = 70_000
GRAIN = 6.0
JPEG_QUALITY = 90


def make_images() -> list[bytes]:
    """Two JPEGs of 640 x 480 pixels of every known species, enlarged, with grain as of a camera."""
    source = ReefSource(seed=IMAGE_SEED, images_per_class=2, unknown_images_per_class=0)
    rng = np.random.default_rng(IMAGE_SEED)
    return [_enlarge(paint_bytes(task, source.seed, 0.0), rng) for task in plan_reef(source)]


def _enlarge(painted: bytes, rng: np.random.Generator) -> bytes:
    picture = Image.open(io.BytesIO(painted)).convert("RGB").resize(SIDES, Image.Resampling.BICUBIC)
    grain = rng.normal(0.0, GRAIN, (SIDES[1], SIDES[0], 1))
    pixels = np.clip(np.asarray(picture, np.float64) + grain, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()

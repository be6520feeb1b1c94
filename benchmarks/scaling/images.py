"""As many small painted photographs as wanted, in folders of classes, the same ones for the same seed.

    python -m benchmarks.scaling.images FOLDER [--images 1000000] [--classes 200] [--seed 0]

JPEGs of 64 pixels and some 2 KB: colour and stripes tell the class, large blotches the individual (two to
five frames, `c007i000012_03.jpg`), smaller ones the frame. One image in 200 is its predecessor saved anew at
another quality, one in 2,000 is broken. Image number i depends on seed, number and classes alone: the images
of a smaller set are in every larger one, and what is there already is not painted again.
"""

from __future__ import annotations

import argparse
import colorsys
import io
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 64
GROUP_BY = r"(?P<group>c\d+i\d+)_"
"""`dataset.group_by` for these names."""

_CHUNK = 1000
_FRAMES = (2, 3, 4, 5)  # of each individual, in turn: 14 images are four individuals
_ALIKE, _BROKEN = 200, 2000
_QUALITY, _QUALITY_ANEW = 85, 70
_GRIDS = 9, 17  # cells along the side of an individual's and of a frame's blotches


@dataclass(frozen=True)
class ImageSet:
    """So many images; `name` gives the path of one below `root`."""

    root: Path
    images: int
    classes: int = 200
    seed: int = 0

    def name(self, number: int) -> str:
        """`class_007/c007i000012_03.jpg`."""
        kind, (individual, frame) = number % self.classes, _place(number // self.classes)
        return f"class_{kind:03d}/c{kind:03d}i{individual:06d}_{frame:02d}.jpg"


def paint(images: ImageSet, workers: int = 2) -> Iterator[int]:
    """Paint what is missing by so many processes; gives how many numbers are done, after each thousand."""
    for kind in range(images.classes):
        (images.root / f"class_{kind:03d}").mkdir(parents=True, exist_ok=True)
    chunks = [range(start, min(start + _CHUNK, images.images)) for start in range(0, images.images, _CHUNK)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        done = 0
        for number in pool.map(partial(_write_chunk, images), chunks):
            done += number
            yield done


def encode(images: ImageSet, number: int) -> bytes:
    """The bytes of one file."""
    sequence = number // images.classes
    is_anew = sequence % _ALIKE == 1  # of the same individual, or of the one before it
    kind, (individual, frame) = number % images.classes, _place(sequence - is_anew)
    rng = np.random.default_rng((images.seed, kind, individual, frame))
    own = np.random.default_rng((images.seed, kind, individual))
    blotches = 0.75 * _blotches(own, _GRIDS[0]) + 0.45 * _blotches(rng, _GRIDS[1])
    pixels = _base(kind) + 55 * blotches + rng.normal(0, 4, (SIDE, SIDE, 1)).astype(np.float32)
    raw = _save(pixels, _QUALITY_ANEW if is_anew else _QUALITY)
    return raw[: len(raw) // 2] if ((number + 1) * 2654435761 % 2**32 >> 8) % _BROKEN == 0 else raw


def _write_chunk(images: ImageSet, numbers: range) -> int:
    """Write those files of a range that are not there, each whole or not at all."""
    partial_path = images.root / f".{os.getpid()}.partial"
    for number in numbers:
        path = images.root / images.name(number)
        if not path.exists():
            partial_path.write_bytes(encode(images, number))
            partial_path.replace(path)
    return len(numbers)


def _place(sequence: int) -> tuple[int, int]:
    """Individual and frame of the image that stands there in its class."""
    rounds, rest = divmod(sequence, sum(_FRAMES))
    for place, frames in enumerate(_FRAMES):
        if rest < frames:
            return rounds * len(_FRAMES) + place, rest
        rest -= frames
    raise AssertionError(sequence)


@cache
def _base(kind: int) -> NDArray[np.float32]:
    """(side, side, 3): the colours and stripes of a class."""
    rng = np.random.default_rng((kind, 17))
    colours = [colorsys.hsv_to_rgb(*rng.uniform((0, 0.3, 0.5), (1, 0.9, 0.9))) for _ in range(2)]
    angle, waves = rng.uniform(0, np.pi), rng.uniform(5, 10)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    share = (np.sin(2 * np.pi * waves * (x * np.cos(angle) + y * np.sin(angle))) + 1)[..., None] / 2
    mixed = share * np.array(colours[0]) + (1 - share) * np.array(colours[1])
    return np.asarray(255 * mixed, np.float32)


@cache
def _widening(cells: int) -> NDArray[np.float32]:
    """(side, cells): linear interpolation."""
    places = np.linspace(0, cells - 1, SIDE)
    return np.asarray(np.maximum(0, 1 - np.abs(places[:, None] - np.arange(cells))), np.float32)


def _blotches(rng: np.random.Generator, cells: int) -> NDArray[np.floating]:
    """(side, side, 1): a random grid of values about 0, widened."""
    wide = _widening(cells)
    return np.asarray(wide @ rng.standard_normal((cells, cells), np.float32) @ wide.T)[..., None]


def _save(pixels: NDArray[np.float32], quality: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=quality)
    return out.getvalue()


def main() -> None:
    """Paint, and say how fast."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    images = ImageSet(options.folder, options.images, options.classes, options.seed)
    started = time.monotonic()
    for done in paint(images):
        if done % 20_000 == 0 or done == images.images:
            print(f"{done:,} of {images.images:,}, {done / (time.monotonic() - started):,.0f}/s", flush=True)


if __name__ == "__main__":
    main()

"""Folders of small pictures for tests of what a new project finds in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def save_noise(path: Path, seed: int, sides: tuple[int, int] = (40, 30)) -> None:
    """A picture that is like no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (sides[1], sides[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def make_frames(root: Path, individuals: int = 5, frames: int = 3) -> Path:
    """Classes chub and perch, some frames of each of some individuals."""
    for label, name in enumerate(("chub", "perch")):
        for individual in range(individuals):
            for frame in range(frames):
                number = 100 * label + 10 * individual + frame
                save_noise(root / name / f"{name}{individual}_frame{frame}.png", number)
    return root

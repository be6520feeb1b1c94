"""What each augmentation policy costs and does: ms of CPU an image beside plain reading, and a picture of it.

    python -m benchmarks.augmentation [--size 96] [--rounds 5] [--images FOLDER --picture policies.jpg]

The policies take turns, so that other load falls on all of them; the median of the rounds is told.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from vision.config.augment import POLICIES, AugmentSettings
from vision.training.nets.fitting.batches import Examples, draw_epoch, training_batches

_BATCH = 32
_BATCHES = 16
_COLUMNS = 8
_LABEL = 110
_SEED = 3
OTHERS = {"hue, saturation": {"hue": 0.1, "saturation": 0.3}, "cutout": {"policy": "none", "cutout": 0.25}}


def main() -> None:
    """Print the table; draw the picture where images are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    policies = {name: AugmentSettings.model_validate(how) for name, how in (_named() | OTHERS).items()}
    images = np.random.default_rng(0).integers(0, 256, (_BATCH * 4, options.size, options.size, 3))
    examples = _examples(images.astype(np.uint8))
    rounds = [
        {name: time_policy(examples, how) for name, how in ({"read": None} | policies).items()}
        for _ in range(options.rounds)
    ]
    for name in policies:
        extra = np.median([each[name] - each["read"] for each in rounds])
        print(f"{name:>16}: {extra:.2f} ms of CPU an image at {options.size} px")
    if options.images and options.picture:
        draw_policies(options.images, policies, options.size).save(options.picture)


def time_policy(examples: Examples, augment: AugmentSettings | None) -> float:
    """CPU milliseconds an image, after a first batch that builds the graph."""
    epochs = 1 + _BATCHES * _BATCH // len(examples.rows)
    stream, _ = training_batches(examples, _BATCH, epochs, 1, augment)
    batches = iter(stream)
    next(batches)
    started, num = time.process_time(), 0
    for inputs, *_ in batches:
        num += len(inputs)
    return 1e3 * (time.process_time() - started) / num


def draw_policies(folder: Path, policies: dict[str, AugmentSettings], size: int) -> Image.Image:
    """A row of changed photographs for each policy, the first row as they are."""
    paths = sorted(each for each in folder.rglob("*") if each.suffix.lower() in (".jpg", ".jpeg", ".png"))
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, _COLUMNS).astype(int)]
    photographs = [ImageOps.fit(Image.open(path).convert("RGB"), (size, size)) for path in chosen]
    examples = _examples(np.stack([np.asarray(each) for each in photographs]))
    sheet = Image.new("RGB", (_LABEL + _COLUMNS * size, (1 + len(policies)) * size), "white")
    draw = ImageDraw.Draw(sheet)
    for row, (name, how) in enumerate(({"as they are": None} | policies).items()):
        images, *_ = next(iter(training_batches(examples, _COLUMNS, 1, _SEED, how)[0]))
        draw.text((6, row * size + size // 2 - 6), name, fill="black", font_size=13)
        for image, column in zip(images.numpy(), draw_epoch(_COLUMNS, _SEED, 0)[0], strict=True):
            made = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
            sheet.paste(made, (_LABEL + int(column) * size, row * size))
    return sheet


def _named() -> dict[str, object]:
    return {name: name for name in POLICIES}


def _examples(images: np.ndarray) -> Examples:
    num = len(images)
    return Examples(images, np.arange(num), np.arange(num), num, np.ones(num, np.float32))


if __name__ == "__main__":
    main()

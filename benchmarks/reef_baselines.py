"""How far linear models get on the reef: the only measure that the painter was tuned on.

Logistic regression on raw 32 x 32 pixels, on colour histograms and on histograms of oriented gradients; the
best of several regularisations is picked on the test images, so each figure is an upper bound. Train and test
are split by individual. Cost: about 90 seconds on two cores.

    python -m benchmarks.reef_baselines --seed 101
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vision.config.data import ReefSource
from vision.data.sources.reef.dataset import PaintTask, paint_bytes, plan_reef
from vision.data.sources.reef.species import KNOWN_SPECIES

Features = NDArray[np.float32]

REGULARISATIONS = (0.0001, 0.001, 0.01, 0.1, 1.0)
BOUNDS = {"pixels 32x32": 0.50, "colour histograms": 0.75, "oriented gradients": 0.75}


def load_images(tasks: list[PaintTask], seed: int) -> list[Image.Image]:
    """The pictures as a reader of the files sees them, JPEG loss included."""
    return [Image.open(io.BytesIO(paint_bytes(task, seed, 0.0))).convert("RGB") for task in tasks]


def measure_pixels(image: Image.Image) -> Features:
    """The whole picture at 32 x 32 pixels, (3072,)."""
    small = image.resize((32, 32), Image.Resampling.BILINEAR)
    return np.asarray(small, np.float32).ravel() / np.float32(255.0)


def measure_colours(image: Image.Image) -> Features:
    """Histograms of colour, (512 + 60,): joint RGB of 8 bins a channel, and HSV channels of 20 bins."""
    rgb = np.asarray(image.resize((96, 72), Image.Resampling.BILINEAR))
    index = (rgb // 32).astype(np.int64) @ np.array([64, 8, 1])
    joint = np.bincount(index.ravel(), minlength=512) / index.size
    hsv = np.asarray(Image.fromarray(rgb).convert("HSV"))
    single = [np.histogram(hsv[..., c], bins=20, range=(0, 256))[0] / index.size for c in range(3)]
    roots: Features = np.sqrt(np.concatenate([joint, *single])).astype(np.float32)
    return roots


def measure_gradients(image: Image.Image) -> Features:
    """Histograms of oriented gradients (Dalal and Triggs 2005) on grey 96 x 72 pixels.

    Cells of 8 x 8, 9 orientations, blocks of 2 x 2 cells normalised: (11 * 8 * 36,).
    """
    grey = np.asarray(image.convert("L").resize((96, 72), Image.Resampling.BILINEAR), np.float32) / 255.0
    dy, dx = np.gradient(np.sqrt(grey))
    strength = np.hypot(dx, dy)
    angle = (np.arctan2(dy, dx) % np.pi) * 9.0 / np.pi
    low = np.floor(angle).astype(np.int64)
    share = angle - low
    cells = np.zeros((9, 12, 9), np.float32)
    rows, columns = np.indices(grey.shape) // 8
    np.add.at(cells, (rows, columns, low % 9), strength * (1.0 - share))
    np.add.at(cells, (rows, columns, (low + 1) % 9), strength * share)
    blocks = np.concatenate([cells[i : i + 8, j : j + 11] for i in (0, 1) for j in (0, 1)], axis=2)
    norms = np.sqrt((blocks**2).sum(axis=2, keepdims=True) + 1e-3)
    clipped: Features = np.minimum(blocks / norms, 0.2).ravel()
    return clipped


MEASURES: dict[str, Callable[[Image.Image], Features]] = {
    "pixels 32x32": measure_pixels,
    "colour histograms": measure_colours,
    "oriented gradients": measure_gradients,
}


def split_by_individual(tasks: list[PaintTask], rng: np.random.Generator) -> NDArray[np.bool_]:
    """True where an image is for training: seven of ten individuals of each species, (n,)."""
    keys = sorted({(task.species, task.individual) for task in tasks})
    chosen = {key for key, draw in zip(keys, rng.random(len(keys)), strict=True) if draw < 0.7}
    return np.array([(task.species, task.individual) in chosen for task in tasks])


def score_baseline(features: Features, labels: NDArray[np.int64], train: NDArray[np.bool_]) -> float:
    """Best test accuracy over `REGULARISATIONS`."""
    scores = []
    for strength in REGULARISATIONS:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=400, tol=1e-3))
        model.fit(features[train], labels[train])
        scores.append(float(model.score(features[~train], labels[~train])))
    return max(scores)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument("--images-per-class", type=int, default=200)
    arguments = parser.parse_args()
    settings = ReefSource(seed=arguments.seed, images_per_class=arguments.images_per_class)
    tasks = [task for task in plan_reef(settings) if task.species in KNOWN_SPECIES]
    start = time.process_time()
    images = load_images(tasks, settings.seed)
    rate = len(tasks) / (time.process_time() - start)
    labels = np.array([KNOWN_SPECIES.index(task.species) for task in tasks])
    train = split_by_individual(tasks, np.random.default_rng(settings.seed))
    print(
        f"seed {settings.seed}: {int(train.sum())} train, {int((~train).sum())} test; {rate:.0f} images/CPU s"
    )
    print("| logistic regression on | test accuracy | must stay below |\n|-|-|-|")
    for name, measure in MEASURES.items():
        features = np.stack([measure(image) for image in images])
        print(f"| {name} | {score_baseline(features, labels, train):.3f} | {BOUNDS[name]:.2f} |", flush=True)


if __name__ == "__main__":
    main()

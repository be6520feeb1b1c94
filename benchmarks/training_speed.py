"""What Taxon's own code costs while it trains: `python -m benchmarks.training_speed [fit frozen partial]`.

Random images and weights, which cost the same as others. Each round measures every part once, in CPU seconds,
so that other load changes little; the medians of the rounds' ratios are printed.

- fit: one epoch of `full` through Taxon against the same compiled network's `model.fit` on the same arrays.
- batches: time in which an epoch's batches are made, with the default changes, against that epoch: training
  waits for data where it comes near 1.
- frozen: `frozen`, head and all, against one forward pass over the same images.
- partial: images a second of `partial` from the cached cut against those of `full`.
- torch: MobileNetV2 in PyTorch, images a second of training. PyTorch is no requirement of this project; where
  it is not installed, `python -m benchmarks.training_speed torch` runs in an environment of its own.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

Rounds = dict[str, list[float]]
CLASSES, EPOCHS = 8, 3


def main() -> None:
    """Print one line a part."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("parts", nargs="*", default=["fit", "frozen", "partial"])
    parser.add_argument("--size", type=int, default=96, help="pixels")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    measured: Rounds = {}
    for number in range(options.rounds):
        for part in options.parts:
            for name, value in PARTS[part](options.size, options.images, options.batch):
                measured.setdefault(name, []).append(value)
                print(f"round {number + 1}: {name} {value:.3f}", flush=True)
    for name, values in measured.items():
        low, high = min(values), max(values)
        print(f"{name}: {statistics.median(values):.3f} ({low:.3f} to {high:.3f}), {len(values)} rounds")


def measure_fit(size: int, num_images: int, batch: int) -> Iterator[tuple[str, float]]:
    """An epoch of `full` against that of a bare `model.fit`, and against making its batches."""
    taxon = time_epoch("full", size, num_images, batch)
    yield "fit through Taxon / bare fit", taxon / time_bare(size, num_images, batch)
    yield "making its batches / epoch", time_batches(size, num_images, batch) / taxon
    yield "images a CPU second, full", num_images / taxon


def measure_frozen(size: int, num_images: int, batch: int) -> Iterator[tuple[str, float]]:
    """`frozen` against one forward pass."""
    from vision.training.nets.inference import run_batches
    from vision.training.nets.models import build_model

    images, splits = make_data(size, num_images)
    model = build_model(candidate("frozen", batch), CLASSES, size)
    started = time.process_time()
    for _ in run_batches(model, images, np.arange(len(images))):
        pass
    passed = time.process_time() - started
    started = time.process_time()
    train("frozen", images, splits, batch, None)
    yield "frozen / one forward pass", (time.process_time() - started) / passed


def measure_partial(size: int, num_images: int, batch: int) -> Iterator[tuple[str, float]]:
    """Images a second of `partial` from its cached cut against those of `full`."""
    cached, plain = (time_epoch(each, size, num_images, batch) for each in ("partial", "full"))
    yield "partial, cached / uncached, images a CPU second", plain / cached


def measure_torch(size: int, num_images: int, batch: int) -> Iterator[tuple[str, float]]:
    """Images a second in PyTorch, second epoch of the same network and optimiser."""
    if find_spec("torchvision") is None:
        raise SystemExit("torch and torchvision are not installed here: see the head of this file.")
    torch, vision_models = import_module("torch"), import_module("torchvision.models")

    model = vision_models.mobilenet_v2(weights=None, num_classes=CLASSES).train()
    optimiser, loss = torch.optim.AdamW(model.parameters(), 1e-3), torch.nn.CrossEntropyLoss()
    pixels = torch.from_numpy(make_pixels(size, num_images)).permute(0, 3, 1, 2)
    labels = torch.arange(num_images) % CLASSES
    for _ in range(2):
        started = time.process_time()
        for first in range(0, num_images - batch + 1, batch):
            optimiser.zero_grad()
            inputs = pixels[first : first + batch].float() / 127.5 - 1
            loss(model(inputs), labels[first : first + batch]).backward()
            optimiser.step()
    yield "images a CPU second, PyTorch", num_images / (time.process_time() - started)


PARTS: dict[str, Callable[[int, int, int], Iterator[tuple[str, float]]]] = {
    "fit": measure_fit,
    "frozen": measure_frozen,
    "partial": measure_partial,
    "torch": measure_torch,
}


def make_pixels(size: int, num_images: int) -> Any:
    """(n, s, s, 3) uint8, random."""
    return np.random.default_rng(0).integers(0, 256, (num_images, size, size, 3), dtype=np.uint8)


def make_data(size: int, num_images: int) -> tuple[Any, Any]:
    """Random images to train on, and two more batches' worth for validation and calibration."""
    from vision.data.records import Split, Splits

    names, extra = tuple(f"class{i}" for i in range(CLASSES)), 2 * CLASSES
    total = num_images + 2 * extra
    splits = Splits(
        class_names=names,
        digests=tuple(f"{i:06d}" for i in range(total)),
        groups=tuple(f"group{i}" for i in range(total)),
        image_classes=tuple(names[i % CLASSES] for i in range(total)),
        splits=(
            *[Split.TRAIN] * num_images,
            *[Split.VALIDATION] * extra,
            *[Split.CALIBRATION] * extra,
        ),
    )
    return make_pixels(size, total), splits


def candidate(strategy: str, batch: int) -> Any:
    """MobileNetV2 without changes of the images, from random weights."""
    from vision.config.training import CandidateSettings

    by_epochs = {} if strategy == "frozen" else {"epochs": EPOCHS, "patience": EPOCHS, "batch_size": batch}
    augment = {"augment": "none"} if strategy == "full" else {}
    return CandidateSettings.model_validate(
        {
            **{"backbone": "mobilenet_v2", "strategy": strategy, **by_epochs, **augment},
            "weights": "none" if strategy == "full" else "auto",
        }
    )


def train(strategy: str, images: Any, splits: Any, batch: int, progress: Any) -> None:
    """One training in a folder that goes with it."""
    from vision.training.nets.fitting.fit import train_candidate
    from vision.training.nets.fitting.state import TrainingInputs

    with tempfile.TemporaryDirectory(prefix="taxon-speed-") as folder:
        settings = candidate(strategy, batch)
        if strategy != "full":
            settings = settings.model_copy(
                update={"weights": str(save_random(Path(folder), images.shape[1]))}
            )
        train_candidate(TrainingInputs("speed", settings, images, splits, 1), Path(folder), progress)


def save_random(folder: Path, size: int) -> Path:
    """Random weights as a file: `frozen` and `partial` start from one."""
    import keras

    path = folder / "no_top.weights.h5"
    keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(size, size, 3)).save_weights(
        path
    )
    return path


def time_epoch(strategy: str, size: int, num_images: int, batch: int) -> float:
    """Seconds from the second epoch's first batch to the third's, with validation and checkpoint."""
    ends: list[float] = []
    images, splits = make_data(size, num_images)
    train(strategy, images, splits, batch, lambda _: ends.append(time.process_time()))
    steps = num_images // batch
    return ends[2 * steps] - ends[steps]


def time_bare(size: int, num_images: int, batch: int) -> float:
    """The same of `model.fit` on arrays, with the same network, optimiser, loss and validation."""
    import keras

    from vision.data.records import Split
    from vision.training.nets.models import build_model, hasten_batch_norm

    images, splits = make_data(size, num_images)
    model = build_model(candidate("full", batch), CLASSES, size)
    hasten_batch_norm(model)
    model.compile(
        keras.optimizers.AdamW(1e-3),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    train_rows, rows = splits.rows(Split.TRAIN), splits.rows(Split.VALIDATION)
    targets, ends = np.eye(CLASSES, dtype=np.float32)[splits.labels()], []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda *_, **__: ends.append(time.process_time())
    )
    model.fit(
        *(images[train_rows].astype(np.float32), targets[train_rows], batch),
        epochs=EPOCHS,
        validation_data=(images[rows].astype(np.float32), targets[rows]),
        callbacks=[watch],
        verbose=0,
    )
    steps = num_images // batch
    return ends[2 * steps] - ends[steps]


def time_batches(size: int, num_images: int, batch: int) -> float:
    """Seconds in which the batches of an epoch are made, changed as by default, while nothing trains."""
    from vision.config.augment import AugmentSettings
    from vision.data.records import Split
    from vision.training.nets.fitting.batches import Examples, training_batches

    images, splits = make_data(size, num_images)
    rows = splits.rows(Split.TRAIN)
    examples = Examples(images, rows, splits.labels()[rows], CLASSES, np.ones(len(rows), np.float32))
    stream, steps = training_batches(examples, batch, 2, 1, AugmentSettings())
    ends = [time.process_time() for _ in stream]
    return (ends[-1] - ends[steps - 1]) * (len(ends) / 2) / steps


if __name__ == "__main__":
    main()

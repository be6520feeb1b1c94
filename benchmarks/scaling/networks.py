"""CPU milliseconds an image of networks and of photographs, which `benchmarks.cost` reckons with.

    python -m benchmarks.scaling.networks [--backbones mobilenet_v2 efficientnet_lite0 cnn_residual]
                                       [--sizes 96 160] [--images 256]

Random weights and images, which cost the same as others, on one process: one pass of a network (a frozen
backbone needs one an image), one epoch of training all its weights, an answer as it is served (fp16, one
thread), and reading a JPEG of 640 x 480 pixels. CPU time, because other load changes it least. The figures go
into a JSON file, from which a row that is there already is replaced.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.backbones import time_backbone
from benchmarks.cost import TRAINING_RECORD, PhotoCost, TrainingCost, read_training
from benchmarks.many_images.ingest import paint_files
from benchmarks.training_speed import CLASSES, EPOCHS, make_data, make_pixels
from vision.base.files import write_atomically
from vision.bundle.engine import Engine
from vision.config.data import FolderSource, ImageSettings
from vision.config.export import Precision
from vision.config.training import CandidateSettings
from vision.data.sources import read_source
from vision.data.store import build_store

BATCH = 32
NUM_PHOTOS = 1_000


def main() -> None:
    """Measure, and write after each row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--backbones", nargs="*", default=["mobilenet_v2", "efficientnet_lite0", "cnn_residual"]
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[96, 160])
    parser.add_argument("--images", type=int, default=256)
    options = parser.parse_args()
    photo, rows = read_training()
    if photo is None:
        photo = PhotoCost(640 * 480, 1000 * time_photos())
    for name in options.backbones:
        for size in options.sizes:
            row = measure(name, size, options.images)
            print(row, flush=True)
            rows = [each for each in rows if (each.backbone, each.size) != (name, size)] + [row]
            told = {"photo": photo._asdict(), "backbones": [each._asdict() for each in rows]}
            TRAINING_RECORD.parent.mkdir(exist_ok=True)
            write_atomically(TRAINING_RECORD, json.dumps(told, indent=1) + "\n")


def measure(name: str, size: int, num_images: int) -> TrainingCost:
    """One network at one size."""
    with tempfile.TemporaryDirectory(prefix="taxon-cost-") as folder:
        file, graphs, _ = time_backbone(name, size, 1, (Precision.FP16,), Path(folder))
        answer = time_answer(graphs.path(graphs.file_name(Precision.FP16)), size)
    passes, epoch = time_pass(name, size, num_images), time_epoch(name, size, num_images)
    return TrainingCost(name, size, file.embedding_width, passes, epoch, answer)


def time_answer(graph: Path, size: int) -> float:
    """CPU milliseconds of a picture by an exported graph, one thread."""
    images, engine = make_pixels(size, 32), Engine(graph)
    engine.forward(images[:1])
    started = time.process_time()
    for each in images:
        engine.forward(each[None])
    return 1000 * (time.process_time() - started) / len(images)


def time_pass(name: str, size: int, num_images: int) -> float:
    """CPU milliseconds an image of one pass."""
    from vision.training.nets.inference import run_batches
    from vision.training.nets.models import build_model

    images, _ = make_data(size, num_images)
    model = build_model(_settings(name), CLASSES, size)
    for rows in (np.arange(64), np.arange(num_images)):  # the first traces the network
        started = time.process_time()
        for _ in run_batches(model, images, rows):
            pass
    return 1000 * (time.process_time() - started) / num_images


def time_epoch(name: str, size: int, num_images: int) -> float:
    """CPU milliseconds an image of an epoch of training all weights, from the second epoch to the third."""
    from vision.training.nets.fitting.fit import train_candidate
    from vision.training.nets.fitting.state import TrainingInputs

    ends: list[float] = []
    images, splits = make_data(size, num_images)
    with tempfile.TemporaryDirectory(prefix="taxon-cost-") as folder:
        told = lambda _: ends.append(time.process_time())  # noqa: E731
        train_candidate(TrainingInputs("cost", _settings(name), images, splits, 1), Path(folder), told)
    steps = num_images // BATCH
    return 1000 * (ends[2 * steps] - ends[steps]) / num_images


def time_photos() -> float:
    """CPU seconds to list, hash, check and decode one photograph of 640 x 480 pixels to 160."""
    with tempfile.TemporaryDirectory(prefix="taxon-cost-") as folder:
        root = Path(folder) / "photos"
        paint_files(root, NUM_PHOTOS)
        started = time.process_time()
        manifest = read_source(FolderSource(path=root), Path(folder))
        build_store(manifest, ImageSettings(size=160), Path(folder) / "store")
        return (time.process_time() - started) / NUM_PHOTOS


def _settings(name: str) -> CandidateSettings:
    epochs = {"epochs": EPOCHS, "patience": EPOCHS, "batch_size": BATCH}
    return CandidateSettings.model_validate(
        {"backbone": name, "strategy": "full", "weights": "none", "augment": "none", **epochs}
    )


if __name__ == "__main__":
    main()

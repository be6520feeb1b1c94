"""Images a second of configs/full.yaml on a GPU, in float32 and mixed precision: `python -m benchmarks.gpu`.

Every candidate of full.yaml trains all its weights, from random ones and on random images, for two epochs:
what is measured is speed, for which neither pictures nor downloads are needed. The first epoch, in which the
step is compiled, is not counted. It ends at once where TensorFlow finds no GPU. Some minutes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from vision.base.progress import TrainingProgress
from vision.base.record import ImageArray
from vision.config.reading.loading import load_config
from vision.config.training import CandidateSettings
from vision.data.records import Split, Splits

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "full.yaml"
NUM_CLASSES, NUM_IMAGES, EPOCHS = 8, 2048, 2
WAYS: dict[str, dict[str, bool]] = {
    "float32": {},
    "mixed": {"mixed_precision": True},
    "mixed, XLA": {"mixed_precision": True, "jit": True},
}


class Rate:
    """Images a second within the last epoch, from what training tells after every batch."""

    def __init__(self) -> None:
        self._times: list[float] = []

    def __call__(self, progress: TrainingProgress) -> None:
        """Note when a batch of the last epoch ended."""
        if progress.epoch == EPOCHS:
            self._times.append(time.monotonic())

    def images_per_second(self, batch_size: int) -> float:
        """From the end of the epoch's first batch to the end of its last."""
        return (len(self._times) - 1) * batch_size / (self._times[-1] - self._times[0])


def make_splits() -> Splits:
    """Every class alike, seven of eight images in train."""
    names = tuple(f"class{i}" for i in range(NUM_CLASSES))
    each = range(NUM_IMAGES)
    return Splits(
        class_names=names,
        digests=tuple(f"{i:06d}" for i in each),
        groups=tuple(f"group{i}" for i in each),
        image_classes=tuple(names[i // 8 % NUM_CLASSES] for i in each),
        splits=tuple(Split.VALIDATION if i % 8 == 7 else Split.TRAIN for i in each),
    )


def measure(candidate: CandidateSettings, images: ImageArray, way: dict[str, bool]) -> tuple[float, str]:
    """Images a second, and on what."""
    from vision.training.nets.fitting.fit import train_candidate
    from vision.training.nets.fitting.state import TrainingInputs

    plain = {"backbone": candidate.backbone, "width": candidate.width, "batch_size": candidate.batch_size}
    settings = CandidateSettings.model_validate({**plain, "epochs": EPOCHS, **way})
    rate, inputs = Rate(), TrainingInputs("gpu", settings, images, make_splits(), 1)
    with tempfile.TemporaryDirectory(prefix="taxon-gpu-") as folder:
        *_, history = train_candidate(inputs, Path(folder), rate)
    return rate.images_per_second(settings.batch_size), history.device


def main() -> int:
    """Print the table, or why there is none."""
    from vision.training.nets import tensorflow as tf  # it greets in a dozen lines if imported by itself

    if not tf.config.list_physical_devices("GPU"):
        print(
            "TensorFlow finds no GPU on this machine: nothing was measured. README.md, Other machines, has "
            "the command that installs a TensorFlow with one."
        )
        return 1
    config = load_config(CONFIG)
    shape = (NUM_IMAGES, config.images.size, config.images.size, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    print(f"| candidate | batch | {' | '.join(WAYS)} | on |\n|---|---|{'---|' * len(WAYS)}---|")
    for name, candidate in config.training.candidates.items():
        found = [measure(candidate, images, way) for way in WAYS.values()]
        rates = " | ".join(f"{rate:.0f}/s" for rate, _ in found)
        print(f"| `{name}` | {candidate.batch_size} | {rates} | {found[0][1]} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Does writing a picture as JPEG again protect against one made to deceive? `python -m benchmarks.attack`.

The fast gradient sign method (Goodfellow et al. 2015) on the winner of a training run, with its weights in
hand: every pixel of a test picture moves by `strength` of 255 levels, the way that raises the loss of the
answer that it had. Counted is how many answers are another class then, as the picture is and re-encoded by
the service's own function. The attacker does not know of the re-encoding; who does can aim past it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from orchestration.session.environment import import_quickly, prepare_environment
from orchestration.session.paths import ProjectPaths
from serving.api.answering.answers import reencode
from vision.base.outputs import ModelFile
from vision.base.record import ImageArray, IntArray
from vision.data.records import Split
from vision.data.store import open_images
from vision.training.nets.models import load_trained

ROOT = Path(__file__).resolve().parent.parent
STRENGTHS = (1, 2, 4, 8)
_BATCH = 16


def main() -> None:
    """Attack the test images of a run; print the table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--run", default="latest")
    options = parser.parse_args()
    prepare_environment(ProjectPaths.of(ROOT))
    with import_quickly():
        from materializers.names import ArtifactName
        from orchestration.flows.running.artifacts import RunArtifacts, find_newest_training, find_run
    run = RunArtifacts(find_newest_training() if options.run == "latest" else find_run(options.run))
    splits = run.load("validate", ArtifactName.SPLITS)
    rows = splits.rows(Split.TEST)
    images = np.asarray(open_images(run.load("ingest", ArtifactName.DATASET))[rows])
    labels = splits.labels()[rows]
    model = load_trained(run.load("pick_winner", ArtifactName.MODEL).path(ModelFile.FILE_NAME))
    plain = answer(model, images)
    written = answer(model, reencode_all(images))
    print(f"{len(images)} test pictures of {run.config.name}, {images.shape[1]} px\n")
    print("| strength | flipped | flipped, re-encoded | right | right, re-encoded |\n|---|---|---|---|---|")
    print(f"| none | | {np.mean(written != plain):.1%} | {tell(plain, labels)} | {tell(written, labels)} |")
    for strength in STRENGTHS:
        attacked = attack(model, images, plain, strength)
        given, again = answer(model, attacked), answer(model, reencode_all(attacked))
        flips = f"{np.mean(given != plain):.1%} | {np.mean(again != plain):.1%}"
        print(f"| {strength} | {flips} | {tell(given, labels)} | {tell(again, labels)} |", flush=True)


def attack(model: keras.Model, images: ImageArray, answers: IntArray, strength: int) -> ImageArray:
    """The images (n, s, s, 3) with every pixel moved by `strength` against their answers (n,)."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    parts = []
    for start in range(0, len(images), _BATCH):
        batch = tf.constant(images[start : start + _BATCH], tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(batch)
            lost = loss(answers[start : start + _BATCH], model(batch, training=False))
        moved = batch + strength * tf.sign(tape.gradient(lost, batch))
        parts.append(np.clip(moved.numpy(), 0, 255).astype(np.uint8))
    return np.concatenate(parts)


def answer(model: keras.Model, images: ImageArray) -> IntArray:
    """The most probable class (n,) of each image."""
    starts = range(0, len(images), _BATCH)
    logits = [model(images[at : at + _BATCH].astype(np.float32), training=False) for at in starts]
    return np.concatenate([np.asarray(each).argmax(axis=1) for each in logits])


def reencode_all(images: ImageArray) -> ImageArray:
    """The images as the service looks at them with `reencode=true`."""
    return np.stack([reencode(each) for each in images])


def tell(answers: IntArray, labels: IntArray) -> str:
    """Share named right, of the known ones."""
    known = labels >= 0
    return f"{np.mean(answers[known] == labels[known]):.1%}"


if __name__ == "__main__":
    main()

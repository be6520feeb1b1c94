"""One candidate from its settings to its best checkpoint, the same for the same seed."""

from __future__ import annotations

import logging
from pathlib import Path

from vision.base.errors import TrainingError
from vision.base.outputs import FoldHeads, ModelFile
from vision.data.records import Split
from vision.training.nets.devices import placed_on
from vision.training.nets.fitting.checkpoint import Checkpoint
from vision.training.nets.fitting.cluster import LOST, Cluster
from vision.training.nets.fitting.phases import OUT_OF_MEMORY
from vision.training.nets.fitting.state import Training, TrainingInputs
from vision.training.nets.fitting.strategies import STRATEGIES
from vision.training.nets.fitting.watch import Report
from vision.training.nets.seeding import seeded
from vision.training.records import TrainingHistory

logger = logging.getLogger(__name__)


def train_candidate(
    inputs: TrainingInputs,
    work_folder: Path,
    progress: Report | None = None,
    checkpoints: Path | None = None,
    cluster: Cluster | None = None,
) -> tuple[ModelFile, FoldHeads, TrainingHistory]:
    """The best checkpoint of one candidate, the heads of its folds, and how its training went.

    `checkpoints` is a folder of this training alone, deleted at its end: what a killed training of the same
    settings and data left there is taken up, and the network is the same as without the kill. None: in the
    work folder, where the model file and cached features go. All machines of `cluster` call this, and get the
    same.

    Raises:
        ConfigError: the weights file is missing, changed, or of another network.
        TrainingError: the loss is not finite, memory ran out, train or validation lacks images, or a machine
            of the cluster is lost or about to train something else.
        StorageError: the checkpoint could not be written.
    """
    name, settings, identity = inputs.name, inputs.settings, inputs.digest()
    folder = checkpoints or work_folder / "checkpoint"
    if cluster is not None:
        counts = (len(inputs.splits.rows(each)) for each in (Split.TRAIN, Split.VALIDATION))
        cluster.agree(name, identity, cluster.check(settings, *counts))
        cluster.copy(folder)
    checkpoint = Checkpoint(folder, identity)
    try:
        with seeded(inputs.seed), placed_on(settings.devices, cluster.number if cluster else 1) as device:
            training = Training(
                **vars(inputs), folder=work_folder, checkpoint=checkpoint, progress=progress, cluster=cluster
            )
            logger.info("train %s: %s", name, "; ".join([f"on {device}", *training.recipe()]))
            STRATEGIES[settings.strategy](training)
            trained = training.save(), training.heads, training.describe(device)
    except OUT_OF_MEMORY as error:
        raise TrainingError(
            f"{name}: memory ran out while training at {inputs.images.shape[1]} px, even with small batches. "
            f"Lower images.size, or take a smaller network for training.candidates.{name}."
        ) from error
    except LOST as error:
        if cluster is None:
            raise
        raise TrainingError(cluster.tell_loss(name, error)) from error
    checkpoint.delete()
    return trained

"""What a machine does that helps another train: it is told each training, and trains its share."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from vision.base.errors import TaxonError, TrainingError
from vision.base.home import home_context
from vision.base.progress import TrainingLog
from vision.base.record import Record
from vision.config.training import CandidateSettings, Strategy
from vision.data.records import DatasetRef, Splits
from vision.data.store import open_images
from vision.training.machines import read_machines, read_wait
from vision.training.nets.fitting.cluster import LOST, Cluster, first_line
from vision.training.nets.fitting.fit import train_candidate
from vision.training.nets.fitting.state import TrainingInputs
from vision.training.nets.models import check_weights, find_weights

logger = logging.getLogger(__name__)


class SharedTraining(Record):
    """What machine 0 tells the others to train with it."""

    name: str
    settings: CandidateSettings
    dataset: DatasetRef
    splits: Splits
    seed: int


@cache
def meet() -> Cluster | None:
    """The machines of TF_CONFIG, once in a process, at whose end they are told it; None where it names none.

    Raises:
        ConfigError: TF_CONFIG cannot be read.
        TrainingError: one did not come in time.
    """
    machines = read_machines()
    if machines is None:
        return None
    cluster = Cluster(machines, read_wait())
    atexit.register(cluster.dismiss)
    return cluster


@contextmanager
def call_together(training: SharedTraining, *, taught: bool) -> Iterator[Cluster | None]:
    """Tell the other machines the training of this block; None where there are none, or it is trained on one.

    A fixed backbone is run once, and a teacher's answers lie on machine 0 alone.

    Raises:
        ConfigError: TF_CONFIG cannot be read.
        TrainingError: one did not come in time.
    """
    cluster = meet()
    if cluster is not None and (taught or training.settings.strategy is Strategy.FROZEN):
        why = "it learns from a teacher" if taught else "the backbone is run once"
        logger.info("train %s: on this machine alone: %s", training.name, why)
        cluster = None
    if cluster is None:
        yield None
        return
    atexit.unregister(cluster.dismiss)  # where a training breaks off, the others wait for no other
    cluster.gather(training.model_dump_json(context=home_context()).encode())
    yield cluster
    atexit.register(cluster.dismiss)


def assist(cluster: Cluster) -> int:
    """Train what machine 0 tells, until it ends; the number of trainings.

    Raises:
        TrainingError: a training could not be finished, here or elsewhere, or machine 0 is gone.
    """
    number = 0
    while True:
        logger.info("Waiting for a training of machine 0 ...")
        try:
            told = cluster.gather(b"")[0]
        except LOST as error:
            raise TrainingError(
                f"machine 0 is gone, or the network to it: {first_line(error)}. Expected its word that its "
                "run has ended. See its last lines, then start it and this line again: its trainings go on."
            ) from error
        if not told:
            with suppress(*LOST):
                cluster.gather(b"")  # says that this was heard
            return number
        _train(SharedTraining.model_validate_json(told, context=home_context()), cluster)
        number += 1


def _train(training: SharedTraining, cluster: Cluster) -> None:
    try:
        images = open_images(training.dataset)
        weights = find_weights(training.settings)
        if weights is not None:
            check_weights(weights, training.settings.weights_digest)
    except TaxonError as error:
        cluster.agree(training.name, "", str(error))
        raise
    with TemporaryDirectory(prefix="worker-") as folder:
        inputs = TrainingInputs(training.name, training.settings, images, training.splits, training.seed)
        train_candidate(inputs, Path(folder), TrainingLog(), cluster=cluster)
    logger.info("train %s: done", training.name)

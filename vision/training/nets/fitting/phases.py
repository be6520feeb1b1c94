"""One phase of a training: epochs of one network at one course of the learning rate.

It goes on where a killed process was, and with half the batch where memory runs out.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from vision.training.nets.fitting.batches import Examples, batch_shape, plain_batches, training_batches
from vision.training.nets.fitting.checkpoint import Standing, lasting_variables
from vision.training.nets.fitting.cluster import Cluster
from vision.training.nets.fitting.recipe import (
    Schedule,
    averaged,
    compile_model,
    make_callbacks,
    make_schedule,
    rate_at,
)
from vision.training.nets.fitting.state import Training
from vision.training.nets.fitting.watch import Phase, Watch

logger = logging.getLogger(__name__)

OUT_OF_MEMORY = (tf.errors.ResourceExhaustedError, MemoryError)
SMALLEST_BATCH = 2


@dataclass(eq=False)
class Epochs:
    """Epochs of one network, a part of `whole`, of which the weights of the best are kept.

    `peak` is the largest learning rate, `epochs` how many there are at most.
    """

    training: Training
    model: keras.Model
    whole: keras.Model
    train: Examples
    validation: Examples
    name: str
    peak: float
    epochs: int
    phase: Phase = field(init=False)
    _first: int = field(init=False)
    _saved: tuple[int, Standing] = field(init=False)
    _schedule: Schedule = field(init=False)

    def run(self) -> None:
        """Train, as far as a former process has not.

        Raises:
            TrainingError: the loss is not finite.
            StorageError: the weights or the checkpoint could not be written.
        """
        self._first = len(self.training.records)
        self._compile()
        step = self._take_up()
        while step < self.epochs * self.phase.steps and self._waited() < self.phase.patience:
            try:
                step = self._train_from(step)
            except OUT_OF_MEMORY:
                if self.training.cluster or self.training.batch_size // 2 < SMALLEST_BATCH:
                    raise  # other machines would wait for gradients of the larger batch
                step = self._halve()

    def _compile(self) -> None:
        settings = self.training.settings
        batch_size, steps = batch_shape(len(self.train.rows), self.training.batch_size)
        self.phase = Phase(
            *(self.training.name, self.name, self.peak, self.epochs, steps, batch_size, settings.patience)
        )
        self._schedule = make_schedule(self.phase, settings)
        compile_model(self.model, self._schedule, settings)
        self.model.optimizer.build(self.model.trainable_variables)
        if not tf.distribute.has_strategy():  # with several devices Keras makes them by itself
            nothing = np.zeros((1, self.train.num_classes), np.float32)
            self.model.compute_metrics(None, nothing, nothing)  # makes the variables of metrics
        if self.training.cluster is not None:
            self.training.cluster.connect_model(self.model)

    def _take_up(self) -> int:
        """The step to begin with: that of the checkpoint, whose numbers the network gets, or 0."""
        saved, cluster = self.training.checkpoint.state, self.training.cluster
        if saved is None or saved.standing is None:
            if cluster is not None:
                cluster.spread(lasting_variables(self.model))
            self.save(0)
            return 0
        self.training.checkpoint.restore(lasting_variables(self.model))
        self._stand(saved.step, saved.standing)
        epoch, batch = divmod(saved.step, self.phase.steps)
        where = self.training.name, epoch + 1, batch, self.phase.steps
        logger.info("train %s: taken up again in epoch %d, after %d of %d batches", *where)
        return saved.step

    def save(self, step: int) -> None:
        """Write down that `step` batches are done."""
        in_epoch = step % self.phase.steps != 0
        running = self.model.metrics_variables if in_epoch else []
        state = self.training.state(step, in_epoch=in_epoch)
        self.training.checkpoint.write(state, [*lasting_variables(self.model), *running])
        self._saved = step, self.training.standing()

    def _stand(self, step: int, standing: Standing) -> None:
        self.training.stand(standing)
        self._saved = step, standing

    def _train_from(self, step: int) -> int:
        """Finish the epoch that was begun, or train all that are left; the steps done then."""
        training, settings, steps = self.training, self.training.settings, self.phase.steps
        epoch, done = divmod(step, steps)
        augment = settings.augment if self.train.inputs.dtype == np.uint8 else None
        sizes = training.batch_size, self.epochs
        cluster, validation = training.cluster, self.validation
        share = (cluster.index, cluster.number) if cluster else (0, 1)
        batches, _ = training_batches(self.train, *sizes, training.seed, augment, step, share)
        saver = _Saver(self, step)
        agreed = []
        if cluster is not None:
            validation = validation.part(*share)
            agreed.append(_SharedFigures(cluster, len(validation.rows)))
        self.model.fit(
            batches,
            initial_epoch=epoch,
            epochs=epoch + 1 if done else self.epochs,
            steps_per_epoch=steps - done,
            validation_data=plain_batches(validation, training.batch_size),
            callbacks=[
                *agreed,
                *make_callbacks(settings, self.peak, self._losses),
                Watch(self.phase, self._finish_epoch, training.progress, step),
                saver,
            ],
            shuffle=False,
            verbose=0,
        )
        if done:  # `fit` ends with the mean of the weights where there is one; the next epoch needs the last
            training.checkpoint.restore(lasting_variables(self.model))
        return saver.step

    def _halve(self) -> int:
        """Half the batch, from the start of the epoch in which memory ran out; the steps done then."""
        training, before = self.training, self.phase
        saved, standing = self._saved
        training.stand(standing)
        training.batch_size = before.batch_size // 2
        self._compile()
        training.checkpoint.restore(lasting_variables(self.model))
        epoch = saved // before.steps
        step = epoch * self.phase.steps
        self.model.optimizer.iterations.assign(step)
        logger.warning(
            "train %s: memory ran out with batches of %d; on with %d from the start of epoch %d",
            *(training.name, before.batch_size, training.batch_size, epoch + 1),
        )
        self.save(step)
        return step

    def _finish_epoch(self, epoch: int, logs: Mapping[str, float]) -> int:
        training, steps = self.training, self.phase.steps
        rate = rate_at(self._schedule, self.model.optimizer, (epoch + 1) * steps - 1)
        on_train = float(logs["nll"]), float(logs["accuracy"])
        on_validation = float(logs["val_nll"]), float(logs["val_accuracy"])
        number = training.record(self.name, on_train, on_validation, rate)
        if on_validation[0] < training.best_loss:
            with averaged(self.model, training.settings):
                training.keep(self.whole, number, on_validation[0])
        return self._waited()

    def _losses(self) -> list[float]:
        return [row.validation_loss for row in self.training.records[self._first :]]

    def _waited(self) -> int:
        """Epochs of this phase since the best."""
        return len(self.training.records) - max(self.training.best_epoch, self._first)


class _Saver(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped here
    """Counts steps and images, and writes checkpoints."""

    def __init__(self, epochs: Epochs, step: int) -> None:
        super().__init__()
        self.step = step
        self._epochs = epochs

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Put back the running figures of an epoch that was begun."""
        saved = self._epochs.training.checkpoint.state
        if saved is not None and saved.in_epoch and saved.step == self.step:
            first = len(lasting_variables(self.model))
            self._epochs.training.checkpoint.restore(self.model.metrics_variables, first)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Count; write a checkpoint if the last one is some time ago."""
        phase, training = self._epochs.phase, self._epochs.training
        self.step += 1
        training.num_seen += phase.batch_size
        if training.checkpoint.due and self.step % phase.steps != 0:
            self._epochs.save(self.step)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Write a checkpoint."""
        self._epochs.save(self.step)


class _SharedFigures(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped here
    """Puts the figures of all machines in place of this one's, for the callbacks after it."""

    def __init__(self, cluster: Cluster, num_validation: int) -> None:
        super().__init__()
        self._cluster = cluster
        self._num_validation = num_validation

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Change `logs`, which all callbacks share."""
        if logs is not None:
            self._cluster.average_figures(logs, self._num_validation)

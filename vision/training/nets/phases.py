"""One phase of a training: epochs of one network at one course of the learning rate."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from vision.training.nets.batches import Examples, plain_batches, training_batches
from vision.training.nets.recipe import averaged, compile_model, make_callbacks, make_schedule, rate_at
from vision.training.nets.state import Training
from vision.training.nets.watch import Phase, Watch


def fit_phase(
    training: Training,
    model: keras.Model,
    whole: keras.Model,
    examples: tuple[Examples, Examples],
    name: str,
    peak: float,
) -> None:
    """Train a network; its weights are kept whenever validation improves.

    Args:
        training: gets the records, and the best weights.
        model: what is trained, a part of
        whole: the network whose weights are kept.
        examples: of train and validation.
        name: of the phase, as it is recorded.
        peak: largest learning rate.

    Raises:
        TrainingError: the loss is not finite.
        StorageError: the weights could not be written.
    """
    settings, (train, validation) = training.settings, examples
    augment = settings.augment if train.inputs.dtype == np.uint8 else None
    batches, steps = training_batches(train, settings.batch_size, settings.epochs, training.seed, augment)
    batch_size = min(settings.batch_size, len(train.rows))
    phase = Phase(training.name, name, peak, settings.epochs, steps, batch_size, settings.patience)
    schedule = make_schedule(phase, settings)
    compile_model(model, schedule, settings)
    first = len(training.records)

    def losses() -> list[float]:
        return [row.validation_loss for row in training.records[first:]]

    def finish_epoch(epoch: int, logs: Mapping[str, float]) -> bool:
        rate = rate_at(schedule, model.optimizer, (epoch + 1) * steps - 1)
        on_train = float(logs["nll"]), float(logs["accuracy"])
        on_validation = float(logs["val_nll"]), float(logs["val_accuracy"])
        number = training.record(name, on_train, on_validation, rate)
        if not on_validation[0] < training.best_loss:
            return False
        with averaged(model, settings):
            training.keep(whole, number, on_validation[0])
        return True

    watch = Watch(phase, finish_epoch, training.progress)
    model.fit(
        batches,
        epochs=settings.epochs,
        steps_per_epoch=steps,
        validation_data=plain_batches(validation, settings.batch_size),
        callbacks=[*make_callbacks(settings, peak, losses), watch],
        shuffle=False,
        verbose=0,
    )
    training.num_seen += watch.num_seen

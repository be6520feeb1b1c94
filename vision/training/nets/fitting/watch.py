"""One phase of a training, and the callback that watches its epochs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras
import numpy as np

from vision.base.errors import TrainingError
from vision.base.progress import TrainingProgress

Report = Callable[[TrainingProgress], None]


@dataclass(frozen=True)
class Phase:
    """One run over the training images; it ends after `patience` epochs without a better validation loss.

    `peak` is the largest learning rate, `steps` are batches an epoch.
    """

    candidate: str
    name: str
    peak: float
    epochs: int
    steps: int
    batch_size: int
    patience: int


class Watch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped here
    """Tells progress, hands on every epoch, stops early, refuses a loss that is not finite."""

    def __init__(
        self,
        phase: Phase,
        finish_epoch: Callable[[int, Mapping[str, float]], int],
        tell: Report | None,
        done: int = 0,
    ) -> None:
        """A callback of the steps from `done` on.

        `finish_epoch` takes the epoch, from 0, and its figures, and gives how many ago the best was.
        """
        super().__init__()
        self._phase = phase
        self._finish_epoch = finish_epoch
        self._tell = tell
        self._epoch = 0
        self._done = self._first = done
        self._started = 0.0
        self._accuracy: float | None = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Start the clock."""
        self._started = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Note the epoch, from 0."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Tell progress; TrainingError if the loss is not finite."""
        phase = self._phase
        self._done += 1
        self._refuse_infinite((logs or {}).get("loss", 0.0))
        if self._tell is None:
            return
        planned = phase.epochs * phase.steps
        done = self._done - self._first
        passed = max(time.monotonic() - self._started, 1e-9)
        self._tell(
            TrainingProgress(
                candidate=phase.candidate,
                epoch=self._epoch + 1,
                epochs=phase.epochs,
                images_per_second=done * phase.batch_size / passed,
                remaining_seconds=(planned - self._done) * passed / done,
                validation_accuracy=self._accuracy,
            )
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Hand the epoch on, and stop after `patience` epochs that were no better."""
        logs = logs or {}
        self._refuse_infinite(logs["loss"] + logs["val_nll"])
        self._accuracy = float(logs["val_accuracy"])
        self.model.stop_training = self._finish_epoch(epoch, logs) >= self._phase.patience

    def _refuse_infinite(self, loss: float) -> None:
        if not np.isfinite(loss):
            raise TrainingError(
                f"{self._phase.candidate}: the loss became {loss} in epoch {self._epoch + 1}. Lower "
                f"training.candidates.{self._phase.candidate}.learning_rate (now {self._phase.peak:g})."
            )

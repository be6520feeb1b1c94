"""Long work says how far it is, at most every few seconds: done of total, images/s, time left."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger(__name__)

EVERY_SECONDS = 8.0


@dataclass(frozen=True)
class TrainingProgress:
    """How far the training of one candidate is.

    Attributes:
        candidate: its name.
        epoch: the current epoch, from 1.
        epochs: planned; early stopping may need fewer.
        images_per_second: over the last batches.
        remaining_seconds: until the planned end, an upper bound.
        validation_accuracy: of the last finished epoch, or None.
    """

    candidate: str
    epoch: int
    epochs: int
    images_per_second: float
    remaining_seconds: float
    validation_accuracy: float | None = None


class ProgressLog:
    """Logs `done of total` of one piece of work, not more often than every `every` seconds."""

    def __init__(
        self, label: str, *, every: float = EVERY_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._label = label
        self._every = every
        self._clock = clock
        self._started = clock()
        self._last = self._started

    def __call__(self, done: int, total: int) -> None:
        """Say so, if it is time or the end is reached."""
        now = self._clock()
        if now - self._last < self._every and done < total:
            return
        self._last = now
        rate = done / max(now - self._started, 1e-9)
        left = (total - done) / rate if rate > 0 else 0.0
        logger.info("%s: %d of %d, %.0f/s, about %s left", self._label, done, total, rate, in_words(left))


class TrainingLog:
    """Logs the progress of a training, not more often than every `every` seconds."""

    def __init__(self, *, every: float = EVERY_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._every = every
        self._clock = clock
        self._last = clock()

    def __call__(self, progress: TrainingProgress) -> None:
        """Say so, if it is time."""
        now = self._clock()
        if now - self._last < self._every:
            return
        self._last = now
        accuracy = progress.validation_accuracy
        if accuracy is None:  # the first epoch holds the compilation: no rate and no estimate from it
            logger.info("train %s: epoch %d of %d", progress.candidate, progress.epoch, progress.epochs)
            return
        logger.info(
            "train %s: epoch %d of %d, %.0f images/s, validation accuracy %.3f, about %s left",
            progress.candidate,
            progress.epoch,
            progress.epochs,
            progress.images_per_second,
            accuracy,
            in_words(progress.remaining_seconds),
        )


def in_words(seconds: float) -> str:
    """`45 s`, `3 min`, `2 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"

"""Long work says how far it is, at most every few seconds: done of total, images/s, time left."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger(__name__)

EVERY_SECONDS = 3.0
FIELD = "progress"
"""Attribute of a log record that holds its `Progress`, for who draws it."""


@dataclass(frozen=True)
class Progress:
    """How far one piece of work is, of `total` pieces (images for example; 0 where they are not counted).

    What is `told` does not name the work; `seconds_left` is None where that is not known yet.
    """

    told: str
    seconds_left: float | None = None
    total: int = 0


@dataclass(frozen=True)
class TrainingProgress:
    """How far the training of one candidate is.

    Attributes:
        epoch: the current epoch, from 1.
        epochs: planned; early stopping may need fewer.
        remaining_seconds: until the planned end, an upper bound.
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
        self._done = -1

    def __call__(self, done: int, total: int) -> None:
        """Say so, if it is time or the end is reached for the first time."""
        now = self._clock()
        if done == self._done or (now - self._last < self._every and done < total):
            return
        self._last, self._done = now, done
        rate = done / max(now - self._started, 1e-9)
        left = (total - done) / rate if rate > 0 else 0.0
        told = f"{done:,} of {total:,}, {rate:.0f}/s"
        _log(self._label, Progress(told, left, total))


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
        told = f"epoch {progress.epoch} of {progress.epochs}"
        accuracy = progress.validation_accuracy
        if accuracy is None:  # the first epoch holds the compilation: no rate and no estimate from it
            _log(f"train {progress.candidate}", Progress(told))
            return
        told += f", {100 * accuracy:.0f}% of validation right, {progress.images_per_second:.0f} images/s"
        _log(f"train {progress.candidate}", Progress(told, progress.remaining_seconds))


def _log(label: str, progress: Progress) -> None:
    left = "" if progress.seconds_left is None else f", about {in_words(progress.seconds_left)} left"
    logger.info("%s: %s%s", label, progress.told, left, extra={FIELD: progress})


def in_words(seconds: float) -> str:
    """`45 s`, `3 min`, `2 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"

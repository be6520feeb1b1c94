"""Loss, learning rate, optimiser and weight averaging of a candidate, as Keras objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras

from vision.config.training import CandidateSettings
from vision.training.nets.fitting.distillation import DistilledLoss, TruthAccuracy, TruthNll
from vision.training.nets.fitting.watch import Phase

PLATEAU_FACTOR = 1 / 3
PLATEAU_PATIENCE = 3
"""Epochs without a better validation loss after which the rate is lowered."""

Schedule = float | Any
"""A Keras schedule of a cosine, or the rate that a plateau starts at."""


def make_schedule(phase: Phase, settings: CandidateSettings) -> Schedule:
    """Linear warm-up, then a cosine to 0 (Loshchilov and Hutter 2017); plateau: the peak itself."""
    if settings.schedule == "plateau":
        return phase.peak
    steps = phase.steps * phase.epochs
    warm_up = min(steps, max(1, round(settings.warm_up * steps)))
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, steps - warm_up),
        warmup_target=phase.peak,
        warmup_steps=warm_up,
    )


def make_optimizer(schedule: Schedule, settings: CandidateSettings) -> keras.optimizers.Optimizer:
    """AdamW (Loshchilov and Hutter 2019) that decays kernels alone."""
    optimizer = keras.optimizers.AdamW(
        schedule,
        weight_decay=settings.weight_decay,
        global_clipnorm=settings.clip_norm,
        use_ema=settings.weight_averaging > 0,
        ema_momentum=settings.weight_averaging,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def make_loss(settings: CandidateSettings) -> keras.losses.Loss:
    """Cross-entropy or focal loss (Lin et al. 2017) of logits against labels, with a teacher where named."""
    smoothing = settings.label_smoothing
    if settings.loss == "focal":
        plain = keras.losses.CategoricalFocalCrossentropy(
            alpha=1.0, gamma=settings.focal_gamma, from_logits=True, label_smoothing=smoothing
        )
    else:
        plain = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    if settings.distil_from is None:
        return plain
    return DistilledLoss(plain, settings.distil_temperature, settings.distil_weight)


def compile_model(model: keras.Model, schedule: Schedule, settings: CandidateSettings) -> None:
    """Give a model its optimiser, its loss, and the metrics `accuracy` and `nll` of the true labels."""
    model.compile(
        optimizer=make_optimizer(schedule, settings),
        loss=make_loss(settings),
        metrics=[
            TruthAccuracy(name="accuracy"),
            TruthNll(from_logits=True, name="nll"),
        ],
        jit_compile=settings.jit,
    )


def rate_at(schedule: Schedule, optimizer: keras.optimizers.Optimizer, step: int) -> float:
    """The learning rate of a step, from 0; of a plateau, the rate of now."""
    return float(optimizer.learning_rate if isinstance(schedule, float) else schedule(step))


def plateau_rate(peak: float, losses: Sequence[float]) -> float:
    """Learning rate after epochs with these validation losses: a third after every three without a better.

    It follows from the losses alone, so that a training that is taken up again goes on at the same rate.
    """
    rate, best, waited = peak, float("inf"), 0
    for loss in losses:
        best, waited = (loss, 0) if loss < best else (best, waited + 1)
        if waited == PLATEAU_PATIENCE:
            rate, waited = rate * PLATEAU_FACTOR, 0
    return rate


class Plateau(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped here
    """Sets the learning rate at the start of every epoch by `plateau_rate`."""

    def __init__(self, peak: float, losses: Callable[[], Sequence[float]]) -> None:
        """`losses` gives the validation losses of this phase's epochs so far."""
        super().__init__()
        self._peak = peak
        self._losses = losses

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Set it."""
        self.model.optimizer.learning_rate = plateau_rate(self._peak, self._losses())


def make_callbacks(
    settings: CandidateSettings, peak: float, losses: Callable[[], Sequence[float]]
) -> list[keras.callbacks.Callback]:
    """What the schedule and weight averaging need beside the optimiser."""
    found: list[keras.callbacks.Callback] = []
    if settings.schedule == "plateau":
        found.append(Plateau(peak, losses))
    if settings.weight_averaging:
        found.append(keras.callbacks.SwapEMAWeights())  # validation judges the mean
    return found


@contextmanager
def averaged(model: keras.Model, settings: CandidateSettings) -> Iterator[None]:
    """While it is open, the model has the running mean of its weights, where there is one."""
    if not settings.weight_averaging:
        yield
        return
    swap = keras.callbacks.SwapEMAWeights()
    swap.set_model(model)
    swap.on_test_begin()
    try:
        yield
    finally:
        swap.on_test_end()

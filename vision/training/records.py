"""Records of training: the trained network as a file, and how the training went."""

from __future__ import annotations

from pydantic import Field

from vision.base.record import Record, Value


class EpochRecord(Value):
    """One epoch of training; `phase` is head or all (two-phase) or the strategy's name."""

    epoch: int
    phase: str
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    regularisation: float | None = Field(
        default=None, description="head on cached features: the inverse L2 strength that this row tried"
    )


class TrainingHistory(Record):
    """How a training went. It may hold seconds because it feeds no step, only reports."""

    candidate: str
    backbone: str
    strategy: str
    epochs: tuple[EpochRecord, ...]
    best_epoch: int
    num_train_images: int
    seconds: float
    images_per_second: float

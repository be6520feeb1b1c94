"""Records of training: the trained network as a file, and how the training went."""

from __future__ import annotations

from pydantic import Field

from vision.base.record import Record, Value


class EpochRecord(Value):
    """One epoch of training, or one strength that a head was fitted with.

    `phase` is head, all or slower (two_phase), stage 1 to 3 (progressive) or the strategy's name; `epoch`
    counts all rows.
    """

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
    recipe: tuple[str, ...] = Field(default=(), description="loss, rate, changes and balance, in words")
    device: str = ""

    @property
    def strengths(self) -> tuple[EpochRecord, ...]:
        """The rows of a head on fixed features: what each regularisation strength gave."""
        return tuple(row for row in self.epochs if row.regularisation is not None)

    @property
    def trained_epochs(self) -> tuple[EpochRecord, ...]:
        """The rows of epochs proper."""
        return tuple(row for row in self.epochs if row.regularisation is None)

    @property
    def kept(self) -> EpochRecord | None:
        """The row whose weights were kept; None where nothing was trained."""
        return next((row for row in self.epochs if row.epoch == self.best_epoch), None)

    @property
    def kept_epoch(self) -> int | None:
        """Number of the epoch that was kept, from 1, strengths not counted; None where none was."""
        kept = self.kept
        return kept.epoch - len(self.strengths) if kept and kept.regularisation is None else None

    def describe_kept(self) -> str:
        """What was kept in a few words: an epoch, a strength, or the head where fine-tuning did not help."""
        kept = self.kept
        if kept is None:
            return "nothing"
        if kept.regularisation is None:
            return f"epoch {self.kept_epoch}"
        told = f"the head, strength {kept.regularisation:g}"
        return f"{told}; fine-tuning did not help" if self.trained_epochs else told


class TrialRecord(Value):
    """One set of settings that a search tried; what its strategy does not read is None."""

    number: int = Field(description="from 0; -1 for the settings as they are configured")
    state: str = Field(description="complete, pruned (stopped early as hopeless) or failed")
    strategy: str
    learning_rate: float | None = None
    augment: str | None = Field(default=None, description="name of the policy")
    dropout: float | None = None
    nll: float | None = Field(default=None, description="on validation, of the best epoch; nats")
    accuracy: float | None = Field(default=None, description="on validation, of the same epoch")
    seconds: float = 0.0
    reason: str = Field(default="", description="why it failed")


class TuningRecord(Record):
    """A search over the settings of one candidate."""

    candidate: str
    backbone: str
    configured: TrialRecord = Field(description="the settings as they are configured, tried like the others")
    trials: tuple[TrialRecord, ...]
    importances: dict[str, float] = Field(
        default_factory=dict,
        description="share of the differences in NLL that each setting explains (PED-ANOVA, Watanabe 2023)",
    )

    @property
    def complete(self) -> tuple[TrialRecord, ...]:
        """The trials that came to their end."""
        return tuple(each for each in self.trials if each.nll is not None and each.state == "complete")

    @property
    def best(self) -> TrialRecord:
        """That of the lowest NLL; the configured settings where no trial is better."""
        known = [self.configured, *self.complete]
        return min(known, key=lambda each: float("inf") if each.nll is None else each.nll)

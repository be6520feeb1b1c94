"""What is known of one training while it goes on: its examples, its records, the best weights so far."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras

from vision.base.columns.column import Columnar
from vision.base.errors import TrainingError
from vision.base.files import digest_file
from vision.base.outputs import FoldHeads, ModelFile, ModelOutputs
from vision.base.record import ImageArray, IntArray
from vision.base.softmax import softmax
from vision.config.training import CandidateSettings, Strategy
from vision.data.records import Split, Splits
from vision.training.nets.fitting.batches import Examples, balance_weights
from vision.training.nets.fitting.checkpoint import Checkpoint, Standing, TrainingState
from vision.training.nets.fitting.cluster import Cluster
from vision.training.nets.fitting.watch import Report
from vision.training.nets.model_file import save_model, save_weights
from vision.training.nets.models import EMBEDDING, build_model, find_weights
from vision.training.recipe_words import describe_recipe
from vision.training.records import EpochRecord, TrainingHistory

HEAD = "head"
_BEST = "best.weights.h5"


@dataclass(eq=False)
class TrainingInputs:
    """What a training follows from.

    Attributes:
        settings: backbone, strategy and how to train; `weights` is 'none' or a path by now.
        images: (n, s, s, 3) uint8, may be memory-mapped; row i is image i of `splits`.
        splits: train gives the weights, validation the best epoch; a frozen backbone's head is fitted on all
            known images outside test.
        seed: two runs with one seed give the same network on the same machine's CPU. On a GPU TensorFlow's
            deterministic operations are switched on, but nothing has been tested there.
        teacher: what `distil_from` says of the training images; None where it names none.
    """

    name: str
    settings: CandidateSettings
    images: ImageArray
    splits: Splits
    seed: int
    teacher: ModelOutputs | None = None

    def digest(self) -> str:
        """SHA-256 of them all but the pixels: a checkpoint of another training is not taken up."""
        parts = [self.name, self.settings.model_dump_json(), str(self.images.shape), str(self.seed)]
        columns = {name: each for name, each in self.splits if isinstance(each, Columnar)}
        parts += [
            self.splits.model_dump_json(exclude=set(columns)),
            *(each.digest for each in columns.values()),
        ]
        if self.teacher is not None:
            parts.append(hashlib.sha256(self.teacher.logits.tobytes()).hexdigest())
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(eq=False, kw_only=True)
class Training(TrainingInputs):
    """State of one training.

    Attributes:
        cluster: the machines that train this together; None where it is one alone.
        records: epochs so far, and strengths of a head.
        best_epoch: number of the record whose weights are kept.
        num_seen: images that went through the network so far.
        batch_size: smaller than that of the settings where memory ran out.
    """

    folder: Path
    checkpoint: Checkpoint
    progress: Report | None
    cluster: Cluster | None = None
    train: Examples = field(init=False)
    validation: Examples = field(init=False)
    records: list[EpochRecord] = field(default_factory=list)
    heads: FoldHeads = field(default_factory=FoldHeads.none)
    best_epoch: int = 0
    best_loss: float = float("inf")
    num_seen: int = 0
    batch_size: int = field(init=False)
    _finished: list[Standing] = field(default_factory=list)
    _started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Look the examples up; TrainingError if train or validation lacks images."""
        saved = self.checkpoint.state
        self.batch_size = saved.batch_size if saved else self.settings.batch_size
        self.train = self.examples_of(Split.TRAIN, self.images)
        self.validation = self.examples_of(Split.VALIDATION, self.images)

    @property
    def best_path(self) -> Path:
        """The best weights so far."""
        return self.checkpoint.folder / _BEST

    @property
    def seconds(self) -> float:
        """Since it began, without the time between a kill and the next start."""
        return time.monotonic() - self._started

    @property
    def num_finished(self) -> int:
        """Phases so far."""
        return len(self._finished)

    def do_once(self, phase: Callable[[], None]) -> None:
        """Build and train a phase, or, if it was finished before a kill, put back what it came to."""
        saved = self.checkpoint.state
        number = len(self._finished)
        if saved is not None and number < len(saved.finished):
            self.stand(saved.finished[number])
            self._finished.append(saved.finished[number])
            return
        # Drawn anew in each phase, so that it does not matter which ones were skipped.
        keras.utils.set_random_seed((self.seed + number) % 2**32)
        phase()
        self._finished.append(self.standing())
        self.checkpoint.write(self.state())
        if self.cluster is not None:  # what each computed for itself may differ in the last digits
            self.cluster.copy(self.checkpoint.folder)
            self.checkpoint.read()
            self._finished[:] = self.checkpoint.state.finished if self.checkpoint.state else ()
            self.stand(self._finished[-1])

    def standing(self) -> Standing:
        """What it has come to."""
        return Standing(
            records=tuple(self.records),
            best_epoch=self.best_epoch,
            best_loss=self.best_loss,
            num_seen=self.num_seen,
            seconds=self.seconds,
        )

    def stand(self, standing: Standing) -> None:
        """Take up what it had come to."""
        self.records[:] = standing.records
        self.best_epoch, self.best_loss = standing.best_epoch, standing.best_loss
        self.num_seen = standing.num_seen
        self._started = min(self._started, time.monotonic() - standing.seconds)

    def state(self, step: int | None = None, *, in_epoch: bool = False) -> TrainingState:
        """What is written down: between phases, or after a step of one."""
        return TrainingState(
            identity=self.checkpoint.identity,
            finished=tuple(self._finished),
            standing=None if step is None else self.standing(),
            step=step or 0,
            batch_size=self.batch_size,
            in_epoch=in_epoch,
        )

    def save(self) -> ModelFile:
        """The best weights as a float32 network, whatever precision it was trained in."""
        model = self.build_best()
        path = self.folder / ModelFile.FILE_NAME
        save_model(model, path)
        return ModelFile(
            root=self.folder,
            files={ModelFile.FILE_NAME: digest_file(path)},
            candidate=self.name,
            backbone=str(self.settings.backbone),
            num_parameters=int(model.count_params()),
            embedding_width=int(model.get_layer(EMBEDDING).output.shape[-1]),
            strategy=str(self.settings.strategy),
            head_only=self.records[self.best_epoch - 1].phase == HEAD,
        )

    def describe(self, device: str) -> TrainingHistory:
        """How it went."""
        seconds = self.seconds
        return TrainingHistory(
            candidate=self.name,
            backbone=str(self.settings.backbone),
            strategy=str(self.settings.strategy),
            epochs=tuple(self.records),
            best_epoch=self.best_epoch,
            num_train_images=len(self.train.rows),
            seconds=seconds,
            images_per_second=self.num_seen / seconds,
            recipe=self.recipe(),
            device=device,
        )

    def recipe(self) -> tuple[str, ...]:
        """Loss, rate, changes and balance, in words."""
        augmented = self.settings.strategy not in (Strategy.FROZEN, Strategy.PARTIAL)
        told = describe_recipe(self.settings, self.train.labels, self.train.weights, augmented=augmented)
        if self.batch_size == self.settings.batch_size:
            return told
        return (*told, f"batches of {self.batch_size}: memory ran out at {self.settings.batch_size}")

    def build(self) -> keras.Model:
        """The network with the weights that it starts from, float32."""
        return self._build(find_weights(self.settings), mixed=False)

    def build_to_train(self) -> keras.Model:
        """The same in the precision that it is trained in."""
        return self._build(find_weights(self.settings), mixed=self.settings.mixed_precision)

    def build_best(self, *, mixed: bool = False) -> keras.Model:
        """The network with the best weights so far."""
        model = self._build(None, mixed=mixed)
        model.load_weights(str(self.best_path))
        return model

    def _build(self, weights: Path | None, *, mixed: bool) -> keras.Model:
        former = keras.config.dtype_policy()
        keras.config.set_dtype_policy("mixed_float16" if mixed else "float32")
        try:
            return build_model(self.settings, len(self.splits.class_names), self.images.shape[1], weights)
        finally:
            keras.config.set_dtype_policy(former)

    def examples_of(self, split: Split, inputs: Any) -> Examples:
        """A split's rows of `inputs`; TrainingError if it has fewer than two images."""
        rows = self.splits.rows(split)
        if len(rows) < 2:
            raise TrainingError(f"{self.name}: {split} has {len(rows)} images; expected at least 2.")
        examples = self.examples(rows, inputs)
        if self.teacher is None or split is not Split.TRAIN:
            return examples
        taught = softmax(self.teacher.take(rows).logits, self.settings.distil_temperature)
        return replace(examples, teacher=taught)

    def examples(self, rows: IntArray, inputs: Any) -> Examples:
        """Some rows of `inputs` with their labels, weighted as the settings balance classes."""
        labels = self.splits.labels()[rows]
        num_classes = len(self.splits.class_names)
        weights = balance_weights(labels, num_classes, self.settings.balance)
        return Examples(inputs, rows, labels, num_classes, weights)

    def record(
        self,
        phase: str,
        on_train: tuple[float, float],
        on_validation: tuple[float, float],
        rate: float,
        strength: float | None = None,
    ) -> int:
        """Note an epoch, or a head's inverse L2 strength, with loss and accuracy on both; its number."""
        epoch = len(self.records) + 1
        self.records.append(
            EpochRecord(
                epoch=epoch,
                phase=phase,
                loss=on_train[0],
                accuracy=on_train[1],
                validation_loss=on_validation[0],
                validation_accuracy=on_validation[1],
                learning_rate=rate,
                regularisation=strength,
            )
        )
        return epoch

    def keep(self, whole: keras.Model, epoch: int, validation_loss: float) -> None:
        """The weights become the best so far."""
        save_weights(whole, self.best_path)
        self.best_epoch, self.best_loss = epoch, validation_loss

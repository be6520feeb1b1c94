"""One candidate from its settings to its best checkpoint, the same for the same seed.

- full: all weights, with augmentation.
- frozen: the backbone is run once; its pooled features are cached and a logistic head is fitted on them, on
  all known images outside test. The heads of its cross-validation come with it: they answer images that they
  have not seen, so that no image has to be kept from training (`vision.decision.held_out`).
- partial: the input of the last block is computed once and cached; block and head are trained on it, without
  augmentation, batch normalisation fixed.
- two_phase: the head as in frozen, then all weights with augmentation, batch normalisation fixed; a second
  phase in which no epoch is better than the head is repeated once at a tenth of the learning rate; if that
  does not help either, what is kept is what frozen gives.

What is kept is the epoch of the lowest validation NLL (without label smoothing).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.lib.format import open_memmap

from vision.backbones import BACKBONES
from vision.base.errors import TrainingError
from vision.base.files import digest_file, storage_errors
from vision.base.outputs import FoldHeads, ModelFile
from vision.base.record import FloatArray, ImageArray, IntArray
from vision.base.softmax import nll
from vision.config.training import CandidateSettings, Strategy
from vision.data.records import Split, Splits
from vision.training.nets.batches import Examples, balance_weights, plain_batches, training_batches
from vision.training.nets.heads import HeadTrial, assign_folds, choose_head, fit_heads, head_logits
from vision.training.nets.inference import run_batches, run_layers
from vision.training.nets.model_file import save_model, save_weights
from vision.training.nets.models import (
    EMBEDDING,
    LOGITS,
    build_model,
    find_weights,
    fix_batch_norm,
    hasten_batch_norm,
)
from vision.training.nets.recipe import averaged, compile_model, make_callbacks, make_schedule, rate_at
from vision.training.nets.seeding import seeded
from vision.training.nets.watch import Phase, Report, Watch
from vision.training.recipe_words import describe_recipe
from vision.training.records import EpochRecord, TrainingHistory

logger = logging.getLogger(__name__)

HEAD = "head"
ALL = "all"
AGAIN = "slower"
SLOWER = 0.1
"""Of the learning rate, where fine-tuning is repeated."""
_CHECKPOINT = "best.weights.h5"
_FEATURES = "features.npy"


def train_candidate(
    name: str,
    settings: CandidateSettings,
    images: ImageArray,
    splits: Splits,
    seed: int,
    work_folder: Path,
    progress: Report | None = None,
) -> tuple[ModelFile, FoldHeads, TrainingHistory]:
    """The best checkpoint of one candidate, the heads of its folds, and how its training went.

    Args:
        name: of the candidate.
        settings: backbone, strategy and how to train; `weights` is 'none' or a path by now.
        images: (n, s, s, 3) uint8, may be memory-mapped; row i is image i of `splits`.
        splits: train gives the weights, validation the best epoch; a frozen backbone's head is fitted on all
            known images outside test.
        seed: two runs with one seed give the same network on the same machine's CPU. On a GPU TensorFlow's
            deterministic operations are switched on, but nothing has been tested there.
        work_folder: the model file and the checkpoint are written here.
        progress: told after every batch.

    Raises:
        ConfigError: the weights file is missing, changed, or of another network.
        TrainingError: the loss is not finite, memory ran out, or train or validation lacks images.
        StorageError: the checkpoint could not be written.
    """
    started = time.monotonic()
    try:
        with seeded(seed):
            training = _Training(name, settings, images, splits, seed, work_folder, progress)
            training.run()
            return training.save(), training.heads, training.describe(time.monotonic() - started)
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise TrainingError(
            f"{name}: memory ran out while training with batches of {settings.batch_size} at "
            f"{images.shape[1]} px. Halve training.candidates.{name}.batch_size, or lower images.size."
        ) from error


@dataclass(eq=False)
class _Training:
    """State of one training: the records so far and the best of them."""

    name: str
    settings: CandidateSettings
    images: ImageArray
    splits: Splits
    seed: int
    folder: Path
    progress: Report | None
    records: list[EpochRecord] = field(default_factory=list)
    heads: FoldHeads = field(default_factory=FoldHeads.none)
    best_epoch: int = 0
    best_loss: float = float("inf")
    num_seen: int = 0

    def run(self) -> None:
        self.train = self._examples_of(Split.TRAIN, self.images)
        self.validation = self._examples_of(Split.VALIDATION, self.images)
        logger.info("train %s: %s", self.name, "; ".join(self.recipe()))
        match self.settings.strategy:
            case Strategy.FULL:
                model = self._build(mixed=self.settings.mixed_precision)
                hasten_batch_norm(model)
                examples, phase = (self.train, self.validation), Strategy.FULL.value
                self._fit(model, model, examples, phase, self.settings.peak_learning_rate)
            case Strategy.FROZEN:
                self._cross_fit_head()
            case Strategy.PARTIAL:
                self._fit_last_block()
            case Strategy.TWO_PHASE:
                self._fit_head()
                self._fine_tune()

    def save(self) -> ModelFile:
        """The best checkpoint as a float32 network, whatever precision it was trained in."""
        model = self._build(pretrained=False)
        model.load_weights(str(self._checkpoint))
        path = self.folder / ModelFile.FILE_NAME
        save_model(model, path)
        self._checkpoint.unlink()
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

    def describe(self, seconds: float) -> TrainingHistory:
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
        )

    def recipe(self) -> tuple[str, ...]:
        augmented = self.settings.strategy not in (Strategy.FROZEN, Strategy.PARTIAL)
        return describe_recipe(self.settings, self.train.labels, self.train.weights, augmented=augmented)

    @property
    def _checkpoint(self) -> Path:
        return self.folder / _CHECKPOINT

    def _build(self, *, mixed: bool = False, pretrained: bool = True) -> keras.Model:
        path = find_weights(self.settings) if pretrained else None
        former = keras.config.dtype_policy()
        keras.config.set_dtype_policy("mixed_float16" if mixed else "float32")
        try:
            return build_model(self.settings, len(self.splits.class_names), self.images.shape[1], path)
        finally:
            keras.config.set_dtype_policy(former)

    def _examples_of(self, split: Split, inputs: Any) -> Examples:
        rows = self.splits.rows(split)
        if len(rows) < 2:
            raise TrainingError(f"{self.name}: {split} has {len(rows)} images; expected at least 2.")
        return self._examples(rows, inputs)

    def _examples(self, rows: IntArray, inputs: Any) -> Examples:
        labels = self.splits.labels()[rows]
        num_classes = len(self.splits.class_names)
        weights = balance_weights(labels, num_classes, self.settings.balance)
        return Examples(inputs, rows, labels, num_classes, weights)

    def _fit_head(self) -> None:
        """Fit the logistic head on cached features of train; validation is left to the phase that follows."""
        rows = np.concatenate([self.train.rows, self.validation.rows])
        model, features = self._cache_features(rows)
        trials, _ = self._try_strengths(features[: len(self.train.rows)], self.train)
        losses = []
        for trial in trials:
            logits = head_logits(features[len(self.train.rows) :], trial)
            losses.append(nll(logits, self.validation.labels))
            accuracy = float((logits.argmax(axis=1) == self.validation.labels).mean())
            self._record(HEAD, trial.nll, trial.accuracy, losses[-1], accuracy, 0.0, trial.strength)
        self._keep_head(model, trials, losses)

    def _cross_fit_head(self) -> None:
        """Fit the head on all known images outside test, and keep the heads of its folds."""
        splits = (Split.TRAIN, Split.VALIDATION, Split.CALIBRATION)
        self.train = self._examples(
            np.sort(np.concatenate([self.splits.rows(each) for each in splits])), self.images
        )
        model, features = self._cache_features(self.train.rows)
        trials, folds = self._try_strengths(features, self.train)
        for trial in trials:
            self._record(HEAD, trial.nll, trial.accuracy, trial.nll, trial.accuracy, 0.0, trial.strength)
        chosen = self._keep_head(model, trials, [trial.nll for trial in trials])
        self.heads = FoldHeads(self.train.rows, folds, chosen.fold_kernels, chosen.fold_biases)

    def _cache_features(self, rows: IntArray) -> tuple[keras.Model, FloatArray]:
        """The untrained network, and its embeddings (m, d) of some rows."""
        model = self._build()
        (features,) = run_layers(model, (EMBEDDING,), self.images, rows)
        self.num_seen += len(rows)
        return model, features

    def _try_strengths(self, features: FloatArray, examples: Examples) -> tuple[list[HeadTrial], IntArray]:
        """A head for every strength, and the folds of its cross-validation."""
        folds = assign_folds(examples.labels, self.splits.group_array()[examples.rows], self.seed)
        trials = fit_heads(
            features,
            examples.labels,
            folds,
            examples.weights,
            examples.num_classes,
            self.settings.head_regularisation,
        )
        return trials, folds

    def _keep_head(self, model: keras.Model, trials: list[HeadTrial], losses: list[float]) -> HeadTrial:
        """Backbone and the chosen head become the best so far."""
        chosen = choose_head(trials)
        model.get_layer(LOGITS).set_weights([trials[chosen].kernel, trials[chosen].bias])
        save_weights(model, self._checkpoint)
        self.best_epoch, self.best_loss = self.records[chosen].epoch, losses[chosen]
        return trials[chosen]

    def _fine_tune(self) -> None:
        """Train all weights from the best so far; if no epoch is better, once more at a tenth of the rate."""
        before, peak = self.best_loss, self.settings.peak_learning_rate
        self._fine_tune_at(peak, ALL)
        if self.best_loss < before:
            return
        slower = SLOWER * peak
        logger.info(
            "train %s: no epoch at learning rate %g was better on validation; again at %g",
            *(self.name, peak, slower),
        )
        self._fine_tune_at(slower, AGAIN)
        if not self.best_loss < before:
            logger.info("train %s: fine-tuning did not help; the head alone is kept", self.name)
            self._fall_back()

    def _fall_back(self) -> None:
        """Keep the head of strategy frozen; the epochs that did not help stand after its rows."""
        epochs = [row for row in self.records if row.phase != HEAD]
        self.records.clear()
        self._cross_fit_head()
        first = len(self.records) + 1
        self.records += [row.model_copy(update={"epoch": i}) for i, row in enumerate(epochs, first)]

    def _fine_tune_at(self, peak: float, phase: str) -> None:
        model = self._build(mixed=self.settings.mixed_precision, pretrained=False)
        model.load_weights(str(self._checkpoint))
        fix_batch_norm(model)
        self._fit(model, model, (self.train, self.validation), phase, peak)

    def _fit_last_block(self) -> None:
        """Cache what enters the last block, then train block and head on it."""
        model = self._build()
        cut = model.get_layer(BACKBONES[self.settings.backbone].cut).output
        inputs = self._cache(keras.Model(model.input, [cut]), cut.shape[1:])
        last = keras.Model(cut, model.output)
        fix_batch_norm(last)
        self._fit(
            last,
            model,
            (self._examples_of(Split.TRAIN, inputs), self._examples_of(Split.VALIDATION, inputs)),
            Strategy.PARTIAL.value,
            self.settings.peak_learning_rate,
        )

    def _cache(self, model: keras.Model, shape: tuple[int, ...]) -> Any:
        """Outputs of the fixed part as float16 in a file, row by row of the images; other rows stay 0."""
        rows = np.concatenate([self.train.rows, self.validation.rows])
        path = self.folder / _FEATURES
        with storage_errors(path):
            cached = open_memmap(path, mode="w+", dtype=np.float16, shape=(len(self.images), *shape))
            done = 0
            for (values,) in run_batches(model, self.images, rows):
                cached[rows[done : done + len(values)]] = values
                done += len(values)
        self.num_seen += len(rows)
        return cached

    def _fit(
        self,
        model: keras.Model,
        whole: keras.Model,
        examples: tuple[Examples, Examples],
        phase_name: str,
        peak: float,
    ) -> None:
        """Train `model`, a part of `whole`; the weights of `whole` are kept whenever validation improves."""
        settings, (train, validation) = self.settings, examples
        augment = settings.augment if train.inputs.dtype == np.uint8 else None
        batches, steps = training_batches(train, settings.batch_size, settings.epochs, self.seed, augment)
        batch_size = min(settings.batch_size, len(train.rows))
        phase = Phase(self.name, phase_name, peak, settings.epochs, steps, batch_size, settings.patience)
        schedule = make_schedule(phase, settings)
        compile_model(model, schedule, settings)
        first = len(self.records)

        def losses() -> list[float]:
            return [row.validation_loss for row in self.records[first:]]

        def finish_epoch(epoch: int, logs: Mapping[str, float]) -> bool:
            number = self._record(
                phase_name,
                float(logs["nll"]),
                float(logs["accuracy"]),
                float(logs["val_nll"]),
                float(logs["val_accuracy"]),
                rate_at(schedule, model.optimizer, (epoch + 1) * steps - 1),
            )
            with averaged(model, settings):
                return self._keep_if_best(whole, number, float(logs["val_nll"]))

        watch = Watch(phase, finish_epoch, self.progress)
        model.fit(
            batches,
            epochs=settings.epochs,
            steps_per_epoch=steps,
            validation_data=plain_batches(validation, settings.batch_size),
            callbacks=[*make_callbacks(settings, peak, losses), watch],
            shuffle=False,
            verbose=0,
        )
        self.num_seen += watch.num_seen

    def _keep_if_best(self, whole: keras.Model, epoch: int, validation_loss: float) -> bool:
        if not validation_loss < self.best_loss:
            return False
        self.best_epoch, self.best_loss = epoch, validation_loss
        save_weights(whole, self._checkpoint)
        return True

    def _record(
        self,
        phase: str,
        loss: float,
        accuracy: float,
        validation_loss: float,
        validation_accuracy: float,
        learning_rate: float,
        strength: float | None = None,
    ) -> int:
        epoch = len(self.records) + 1
        self.records.append(
            EpochRecord(
                epoch=epoch,
                phase=phase,
                loss=loss,
                accuracy=accuracy,
                validation_loss=validation_loss,
                validation_accuracy=validation_accuracy,
                learning_rate=learning_rate,
                regularisation=strength,
            )
        )
        return epoch

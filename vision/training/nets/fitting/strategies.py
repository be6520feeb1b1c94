"""Which part of a network is trained, and in which phases.

- full: all weights, with augmentation.
- frozen: the backbone is run once; its pooled features are cached and a logistic head is fitted on them, on
  all known images outside test. The heads of its cross-validation come with it: they answer images that they
  have not seen, so that no image has to be kept from training (`vision.decision.held_out`).
- partial: the input of the last block is computed once and cached; block and head are trained on it, without
  augmentation, batch normalisation fixed.
- progressive: the head as in frozen; then the last third of the network, two thirds and all of it, each stage
  from the best before it, at a third of its learning rate, with a third of the epochs; batch normalisation
  fixed. Without augmentation what lies below is run once and cached. If no epoch is better than the head,
  what is kept is what frozen gives.
- two_phase: the head as in frozen, then all weights with augmentation, batch normalisation fixed; a second
  phase in which no epoch is better than the head is repeated once at a tenth of the learning rate; if that
  does not help either, what is kept is what frozen gives.

What is kept is the epoch of the lowest validation NLL (without label smoothing).
"""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from numpy.lib.format import open_memmap

from vision.backbones import BACKBONES
from vision.base.files import storage_errors
from vision.base.outputs import FoldHeads
from vision.base.record import FloatArray, IntArray
from vision.base.softmax import nll
from vision.config.augment import NOTHING
from vision.config.training import Strategy
from vision.data.records import Split
from vision.training.nets.batch_norm import fuse_batch_norm
from vision.training.nets.fitting.batches import Examples
from vision.training.nets.fitting.cuts import find_cuts, fix_below
from vision.training.nets.fitting.phases import Epochs
from vision.training.nets.fitting.state import HEAD, Training
from vision.training.nets.heads import HeadTrial, assign_folds, choose_head, fit_heads, head_logits
from vision.training.nets.inference import run_batches, run_layers
from vision.training.nets.models import EMBEDDING, LOGITS, fix_batch_norm, hasten_batch_norm

logger = logging.getLogger(__name__)

ALL = "all"
AGAIN = "slower"
SLOWER = 0.1
"""Of the learning rate, where fine-tuning is repeated."""
NUM_STAGES = 3
STAGE_FACTOR = 1 / 3
"""Of progressive: each stage's learning rate is this share of the one before."""


def train_full(training: Training) -> None:
    """Train all weights."""

    def train_all() -> None:
        model, settings = training.build_to_train(), training.settings
        hasten_batch_norm(model)
        if training.cluster is None:  # machines average the moments between the steps that Keras takes
            fuse_batch_norm(model)
        examples, name = (training.train, training.validation), Strategy.FULL.value
        Epochs(training, model, model, *examples, name, settings.peak_learning_rate, settings.epochs).run()

    training.do_once(train_all)


def train_frozen(training: Training) -> None:
    """Fit the head on all known images outside test, and keep the heads of its folds."""
    splits = (Split.TRAIN, Split.VALIDATION, Split.CALIBRATION)
    rows = np.sort(np.concatenate([training.splits.rows(each) for each in splits]))
    training.train = training.examples(rows, training.images)
    model, features = _cache_features(training, rows)
    trials, folds = _try_strengths(training, features, training.train)
    for trial in trials:
        found = trial.nll, trial.accuracy
        training.record(HEAD, found, found, 0.0, trial.strength)
    chosen = _keep_head(training, model, trials, [trial.nll for trial in trials])
    training.heads = FoldHeads(rows, folds, chosen.fold_kernels, chosen.fold_biases)


def train_partial(training: Training) -> None:
    """Cache what enters the last block, then train block and head on it."""

    def train_last_block() -> None:
        model, settings = training.build(), training.settings
        fix_batch_norm(model)
        cut = model.get_layer(BACKBONES[settings.backbone].cut).output
        with _cached_above(training, model, cut) as (last, train, validation):
            name, peak = Strategy.PARTIAL.value, settings.peak_learning_rate
            Epochs(training, last, model, train, validation, name, peak, settings.epochs).run()

    training.do_once(train_last_block)


def train_two_phase(training: Training) -> None:
    """The head, then all weights; if no epoch is better, once more at a tenth of the rate, or the head."""
    training.do_once(lambda: _fit_head(training))
    before, peak = training.best_loss, training.settings.peak_learning_rate
    training.do_once(lambda: _fine_tune(training, peak, ALL))
    if training.best_loss < before:
        return
    slower = SLOWER * peak
    logger.info(
        "train %s: no epoch at learning rate %g was better on validation; again at %g",
        *(training.name, peak, slower),
    )
    training.do_once(lambda: _fine_tune(training, slower, AGAIN))
    if not training.best_loss < before:
        _fall_back(training)


def train_progressive(training: Training) -> None:
    """The head, then from the top the last third of the network, two thirds, and all of it."""
    training.do_once(lambda: _fit_head(training))
    before, rate = training.best_loss, training.settings.peak_learning_rate
    for stage in range(NUM_STAGES):
        training.do_once(partial(_train_stage, training, stage, rate * STAGE_FACTOR**stage))
    if not training.best_loss < before:
        _fall_back(training)


STRATEGIES: Mapping[Strategy, Callable[[Training], None]] = MappingProxyType(
    {
        Strategy.FROZEN: train_frozen,
        Strategy.PARTIAL: train_partial,
        Strategy.PROGRESSIVE: train_progressive,
        Strategy.TWO_PHASE: train_two_phase,
        Strategy.FULL: train_full,
    }
)
"""How each strategy trains."""


def _fit_head(training: Training) -> None:
    """Fit the logistic head on cached features of train; validation is left to the phase that follows."""
    train, validation = training.train, training.validation
    model, features = _cache_features(training, np.concatenate([train.rows, validation.rows]))
    trials, _ = _try_strengths(training, features[: len(train.rows)], train)
    losses = []
    for trial in trials:
        logits = head_logits(features[len(train.rows) :], trial)
        losses.append(nll(logits, validation.labels))
        accuracy = float((logits.argmax(axis=1) == validation.labels).mean())
        found = trial.nll, trial.accuracy
        training.record(HEAD, found, (losses[-1], accuracy), 0.0, trial.strength)
    _keep_head(training, model, trials, losses)


def _cache_features(training: Training, rows: IntArray) -> tuple[keras.Model, FloatArray]:
    """The untrained network, and its embeddings (m, d) of some rows."""
    model = training.build()
    (features,) = run_layers(model, (EMBEDDING,), training.images, rows)
    training.num_seen += len(rows)
    return model, features


def _try_strengths(
    training: Training, features: FloatArray, examples: Examples
) -> tuple[list[HeadTrial], IntArray]:
    """A head for every strength, and the folds of its cross-validation."""
    folds = assign_folds(examples.labels, training.splits.group_array()[examples.rows], training.seed)
    trials = fit_heads(
        features,
        examples.labels,
        folds,
        examples.weights,
        examples.num_classes,
        training.settings.head_regularisation,
    )
    return trials, folds


def _keep_head(
    training: Training, model: keras.Model, trials: list[HeadTrial], losses: list[float]
) -> HeadTrial:
    """Backbone and the chosen head become the best so far."""
    chosen = choose_head(trials)
    model.get_layer(LOGITS).set_weights([trials[chosen].kernel, trials[chosen].bias])
    training.keep(model, training.records[chosen].epoch, losses[chosen])
    return trials[chosen]


def _fine_tune(training: Training, peak: float, name: str) -> None:
    """Train all weights from the best so far."""
    model = training.build_best(mixed=training.settings.mixed_precision)
    fix_batch_norm(model)
    examples, epochs = (training.train, training.validation), training.settings.epochs
    Epochs(training, model, model, *examples, name, peak, epochs).run()


def _train_stage(training: Training, stage: int, rate: float) -> None:
    """Train what lies above a stage's cut, from the best so far.

    What lies below is run once if nothing changes the images and its values have room on the disk.
    """
    settings = training.settings
    model = training.build_best(mixed=settings.mixed_precision)
    fix_batch_norm(model)
    cut = find_cuts(model, NUM_STAGES)[stage]
    fix_below(model, cut)
    name, epochs = f"stage {stage + 1}", max(1, settings.epochs // NUM_STAGES)
    if cut is not None and settings.augment == NOTHING and _has_room(training, cut):
        with _cached_above(training, model, cut) as (above, train, validation):
            Epochs(training, above, model, train, validation, name, rate, epochs).run()
    else:
        Epochs(training, model, model, training.train, training.validation, name, rate, epochs).run()


def _fall_back(training: Training) -> None:
    """Keep the head of strategy frozen; the epochs that did not help stand after its rows."""
    logger.info("train %s: fine-tuning did not help; the head alone is kept", training.name)
    epochs = [row for row in training.records if row.phase != HEAD]
    training.records.clear()
    train_frozen(training)
    first = len(training.records) + 1
    training.records += [row.model_copy(update={"epoch": i}) for i, row in enumerate(epochs, first)]


def _has_room(training: Training, cut: keras.KerasTensor) -> bool:
    """Whether the cached values of a cut would take at most half of the disk that is free."""
    num_bytes = 2 * len(training.images) * math.prod(cut.shape[1:])
    training.folder.mkdir(parents=True, exist_ok=True)
    room: bool = num_bytes <= shutil.disk_usage(training.folder).free / 2
    if not room:
        text = (
            "train %s: %.0f MB of values below the trained layers have no room on the disk; they are run anew"
        )
        logger.info(text, training.name, num_bytes / 1e6)
    return room


@contextmanager
def _cached_above(
    training: Training, model: keras.Model, cut: keras.KerasTensor
) -> Iterator[tuple[keras.Model, Examples, Examples]]:
    """The part of a network above `cut`, and its inputs for train and validation, run once and cached."""
    path = training.folder / f"features-{training.num_finished}.npy"
    inputs = _cache(training, keras.Model(model.input, [cut]), cut.shape[1:], path)
    examples = [training.examples_of(split, inputs) for split in (Split.TRAIN, Split.VALIDATION)]
    yield keras.Model(cut, model.output), examples[0], examples[1]
    path.unlink()


def _cache(training: Training, model: keras.Model, shape: tuple[int, ...], path: Path) -> Any:
    """Outputs of the fixed part as float16 in a file, row by row of the images; other rows stay 0."""
    rows = np.concatenate([training.train.rows, training.validation.rows])
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        cached = open_memmap(path, mode="w+", dtype=np.float16, shape=(len(training.images), *shape))
        done = 0
        for (values,) in run_batches(model, training.images, rows):
            cached[rows[done : done + len(values)]] = values
            done += len(values)
    training.num_seen += len(rows)
    return cached

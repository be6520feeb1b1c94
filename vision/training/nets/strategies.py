"""Which part of a network is trained, and in which phases.

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
from collections.abc import Callable, Mapping
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
from vision.config.training import Strategy
from vision.data.records import Split
from vision.training.nets.batches import Examples
from vision.training.nets.heads import HeadTrial, assign_folds, choose_head, fit_heads, head_logits
from vision.training.nets.inference import run_batches, run_layers
from vision.training.nets.models import EMBEDDING, LOGITS, fix_batch_norm, hasten_batch_norm
from vision.training.nets.phases import Epochs
from vision.training.nets.state import HEAD, Training

logger = logging.getLogger(__name__)

ALL = "all"
AGAIN = "slower"
SLOWER = 0.1
"""Of the learning rate, where fine-tuning is repeated."""
_FEATURES = "features.npy"


def train_full(training: Training) -> None:
    """Train all weights."""
    model = training.build_to_train()
    hasten_batch_norm(model)
    settings = training.settings
    examples, name = (training.train, training.validation), Strategy.FULL.value
    Epochs(training, model, model, *examples, name, settings.peak_learning_rate, settings.epochs).run()


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
    model, settings = training.build(), training.settings
    fix_batch_norm(model)
    cut = model.get_layer(BACKBONES[settings.backbone].cut).output
    last, examples = _cut(training, model, cut)
    name, peak = Strategy.PARTIAL.value, settings.peak_learning_rate
    Epochs(training, last, model, *examples, name, peak, settings.epochs).run()


def train_two_phase(training: Training) -> None:
    """The head, then all weights; if no epoch is better, once more at a tenth of the rate, or the head."""
    training.do_once(lambda: _fit_head(training))
    before, peak = training.best_loss, training.settings.peak_learning_rate
    _fine_tune(training, peak, ALL)
    if training.best_loss < before:
        return
    slower = SLOWER * peak
    logger.info(
        "train %s: no epoch at learning rate %g was better on validation; again at %g",
        *(training.name, peak, slower),
    )
    _fine_tune(training, slower, AGAIN)
    if not training.best_loss < before:
        _fall_back(training)


STRATEGIES: Mapping[Strategy, Callable[[Training], None]] = MappingProxyType(
    {
        Strategy.FROZEN: train_frozen,
        Strategy.PARTIAL: train_partial,
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


def _fall_back(training: Training) -> None:
    """Keep the head of strategy frozen; the epochs that did not help stand after its rows."""
    logger.info("train %s: fine-tuning did not help; the head alone is kept", training.name)
    epochs = [row for row in training.records if row.phase != HEAD]
    training.records.clear()
    train_frozen(training)
    first = len(training.records) + 1
    training.records += [row.model_copy(update={"epoch": i}) for i, row in enumerate(epochs, first)]


def _cut(
    training: Training, model: keras.Model, cut: keras.KerasTensor
) -> tuple[keras.Model, tuple[Examples, Examples]]:
    """The part of a network above `cut`, with the cached values of `cut` for train and validation."""
    inputs = _cache(training, keras.Model(model.input, [cut]), cut.shape[1:])
    examples = training.examples_of(Split.TRAIN, inputs), training.examples_of(Split.VALIDATION, inputs)
    return keras.Model(cut, model.output), examples


def _cache(training: Training, model: keras.Model, shape: tuple[int, ...]) -> Any:
    """Outputs of the fixed part as float16 in a file, row by row of the images; other rows stay 0."""
    rows = np.concatenate([training.train.rows, training.validation.rows])
    path = training.folder / _FEATURES
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        cached = open_memmap(path, mode="w+", dtype=np.float16, shape=(len(training.images), *shape))
        done = 0
        for (values,) in run_batches(model, training.images, rows):
            cached[rows[done : done + len(values)]] = values
            done += len(values)
    training.num_seen += len(rows)
    return cached

"""Searches the settings of one candidate with Optuna; the lowest validation NLL wins.

The first trial is the candidate as it is configured. The study lies in a SQLite file: a search that was
stopped goes on there, and settings that were being tried are tried again. Validation images choose, so the
best of many looks better than it is; test is not looked at.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import optuna
from optuna.trial import FrozenTrial, TrialState

from vision.base.errors import TrainingError
from vision.base.files import storage_errors
from vision.base.progress import TrainingLog, TrainingProgress
from vision.base.record import ImageArray
from vision.config.augment import AugmentSettings
from vision.config.training import UNREAD, CandidateSettings, Strategy
from vision.config.tuning import SpaceSettings, TuningSettings
from vision.data.records import Splits
from vision.training.nets.fitting.fit import train_candidate
from vision.training.nets.fitting.state import TrainingInputs
from vision.training.records import TrainingHistory, TrialRecord, TuningRecord
from vision.training.trials import change_candidate

logger = logging.getLogger(__name__)

CONFIGURED = "configured"
_PATIENT_TRIALS = 4
_PATIENT_EPOCHS = 2
_TELLING_TRIALS = 5


def tune(
    name: str,
    base: CandidateSettings,
    settings: TuningSettings,
    images: ImageArray,
    splits: Splits,
    seed: int,
    study_file: Path,
) -> TuningRecord:
    """Try settings until `settings.trials` are finished or the time is over.

    What is not varied of `base` stays. Row i of the images (n, s, s, 3) uint8 is image i of `splits`; train
    teaches, validation chooses. `study_file` is SQLite, and made where it is missing.

    Raises:
        TrainingError: the configured settings cannot be trained.
        StorageError: the study cannot be written.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with storage_errors(study_file):
        study_file.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{study_file}",
        study_name=name,
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(_PATIENT_TRIALS, _PATIENT_EPOCHS),
    )
    _end_stopped(study)
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    search = _Search(base, settings.space, images, splits, seed)
    if CONFIGURED not in study.user_attrs:
        study.set_user_attr(CONFIGURED, search.try_configured().model_dump(mode="json"))
    left = settings.trials - len(_finished(study))
    if left > 0:
        seconds = None if settings.minutes is None else 60 * settings.minutes
        told = _Told(settings.trials)
        study.optimize(search.try_one, left, seconds, catch=(TrainingError,), callbacks=[told])
    return TuningRecord(
        candidate=name,
        backbone=str(base.backbone),
        configured=TrialRecord.model_validate(study.user_attrs[CONFIGURED]),
        trials=tuple(_describe(each) for each in _finished(study)),
        importances=_weigh(study),
    )


def suggest(trial: Any, base: CandidateSettings, space: SpaceSettings) -> CandidateSettings:
    """The candidate with settings drawn by an Optuna trial, of those that its strategy reads."""
    names = [str(each) for each in space.strategies or (base.strategy,)]
    strategy = Strategy(trial.suggest_categorical("strategy", names))
    changes: dict[str, Any] = {"strategy": strategy}
    if "learning_rate" not in UNREAD[strategy]:
        changes["learning_rate"] = trial.suggest_float("learning_rate", *space.learning_rate, log=True)
        changes["dropout"] = trial.suggest_float("dropout", *space.dropout)
    if "augment" not in UNREAD[strategy]:
        changes["augment"] = AugmentSettings.model_validate(
            trial.suggest_categorical("augment", list(space.augment))
        )
    return change_candidate(base, changes)


@dataclass(frozen=True)
class _Search:
    base: CandidateSettings
    space: SpaceSettings
    images: ImageArray
    splits: Splits
    seed: int

    def try_configured(self) -> TrialRecord:
        started = time.monotonic()
        history = self._train(CONFIGURED, self.base, TrainingLog())
        kept, reads_rate = history.kept, "learning_rate" not in UNREAD[self.base.strategy]
        return TrialRecord(
            number=-1,
            state="complete",
            strategy=str(self.base.strategy),
            learning_rate=self.base.peak_learning_rate if reads_rate else None,
            dropout=self.base.dropout if reads_rate else None,
            augment="as configured" if "augment" not in UNREAD[self.base.strategy] else None,
            nll=kept.validation_loss if kept else None,
            accuracy=kept.validation_accuracy if kept else None,
            seconds=time.monotonic() - started,
        )

    def try_one(self, trial: optuna.Trial) -> float:
        """The validation NLL of settings that are drawn here."""
        settings = suggest(trial, self.base, self.space)
        former = _find_equal(trial)
        if former is not None and former.value is not None:
            trial.set_user_attr("accuracy", former.user_attrs.get("accuracy"))
            return former.value
        try:
            history = self._train(f"trial_{trial.number + 1}", settings, _Pruning(trial))
        except TrainingError as error:
            trial.set_user_attr("reason", str(error))
            raise
        kept = history.kept
        if kept is None:
            raise TrainingError(f"trial {trial.number} kept no epoch")
        trial.set_user_attr("accuracy", kept.validation_accuracy)
        return kept.validation_loss

    def _train(
        self, name: str, settings: CandidateSettings, tell: Callable[[TrainingProgress], None]
    ) -> TrainingHistory:
        keras.utils.clear_session()  # the networks of earlier trials
        with TemporaryDirectory(prefix="tune-") as folder:
            inputs = TrainingInputs(name, settings, self.images, self.splits, self.seed)
            return train_candidate(inputs, Path(folder), tell)[2]


class _Pruning:
    """Tells Optuna the share wrong after every epoch, and ends a trial that is worse than the median."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial
        self._log = TrainingLog()
        self._reported = 0

    def __call__(self, progress: TrainingProgress) -> None:
        self._log(progress)
        done = progress.epoch - 1
        if progress.validation_accuracy is None or done <= self._reported:
            return
        self._reported = done
        self._trial.report(1.0 - progress.validation_accuracy, done)
        if self._trial.should_prune():
            raise optuna.TrialPruned


@dataclass(frozen=True)
class _Told:
    """Says after every trial how far the search is."""

    trials: int

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        done = len(_finished(study))
        complete = _values(study)
        own = f"NLL {trial.value:.3f}" if trial.state is TrialState.COMPLETE else trial.state.name.lower()
        best = f", best {min(complete):.3f}" if complete else ""
        logger.info("tune: trial %d of %d: %s%s", done, self.trials, own, best)


def _end_stopped(study: optuna.Study) -> None:
    """Trials that a killed search left running are ended, and their settings tried again."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that count: not those that a kill ended."""
    ended = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))
    return [each for each in ended if each.state is not TrialState.FAIL or "reason" in each.user_attrs]


def _values(study: optuna.Study) -> list[float]:
    """NLL of the complete trials; a pruned one has another value."""
    done = study.get_trials(states=(TrialState.COMPLETE,))
    return [each.value for each in done if each.value is not None]


def _find_equal(trial: optuna.Trial) -> FrozenTrial | None:
    """An earlier complete trial of the same settings, whose value needs no training."""
    done = trial.study.get_trials(states=(TrialState.COMPLETE,))
    return next((each for each in done if each.params == trial.params), None)


def _describe(trial: FrozenTrial) -> TrialRecord:
    states = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}
    complete = trial.state is TrialState.COMPLETE
    return TrialRecord(
        number=trial.number,
        state=states.get(trial.state, "failed"),
        nll=trial.value if complete else None,
        accuracy=trial.user_attrs.get("accuracy"),
        seconds=trial.duration.total_seconds() if trial.duration else 0.0,
        reason=trial.user_attrs.get("reason", ""),
        **trial.params,
    )


def _weigh(study: optuna.Study) -> dict[str, float]:
    """Importance of each setting; empty where the trials are too few or all alike."""
    if len(set(_values(study))) < _TELLING_TRIALS:
        return {}
    with suppress(ValueError, RuntimeError):
        weights = optuna.importance.get_param_importances(study)
        varied = [name for name in weights if len({each.params.get(name) for each in study.trials}) > 1]
        return {name: float(weights[name]) for name in varied}
    return {}

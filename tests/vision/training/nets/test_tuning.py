"""A search of settings on tiny networks: it keeps what it tried and goes on after a kill."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from tests.vision.training.nets import toy
from vision.base.errors import TrainingError
from vision.config.training import CandidateSettings, Strategy
from vision.config.tuning import SpaceSettings, TuningSettings
from vision.training.nets import tuning
from vision.training.nets.fitting.state import TrainingInputs
from vision.training.records import EpochRecord, TrainingHistory, TrialRecord, TuningRecord
from vision.training.trials import apply_trial

pytestmark = toy.KERAS_WARNINGS
BASE = toy.tiny_settings(backbone="cnn", epochs=1)
SPACE = SpaceSettings(learning_rate=(1e-3, 3e-2), augment=("none", "light"))


def search(folder: Path, trials: int = 3, seed: int = 3) -> TuningRecord:
    images, splits = toy.make_images()
    settings = TuningSettings(trials=trials, space=SPACE)
    return tuning.tune("tiny", BASE, settings, images, splits, seed, folder / "study.db")


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[CandidateSettings]:
    """Trainings are counted, not run: the loss is the distance of the learning rate from 0.01."""
    asked: list[CandidateSettings] = []

    def train(inputs: TrainingInputs, *_others: object) -> tuple[None, None, TrainingHistory]:
        asked.append(inputs.settings)
        loss = abs(inputs.settings.peak_learning_rate - 0.01)
        epoch = EpochRecord(
            epoch=1,
            phase="full",
            loss=loss,
            accuracy=0.5,
            validation_loss=loss,
            validation_accuracy=0.5,
            learning_rate=0.0,
        )
        history = TrainingHistory(
            candidate=inputs.name,
            backbone="cnn",
            strategy="full",
            epochs=(epoch,),
            best_epoch=1,
            num_train_images=1,
            seconds=1.0,
            images_per_second=1.0,
        )
        return None, None, history

    monkeypatch.setattr(tuning, "train_candidate", train)
    return asked


def test_networks_are_trained_for_real_and_the_best_setting_can_be_trained_again(tmp_path: Path) -> None:
    record = search(tmp_path, trials=2)
    assert [each.number for each in record.trials] == [0, 1]
    assert record.configured.nll is not None
    assert record.best.nll == min(each.nll for each in (record.configured, *record.complete) if each.nll)
    settings = apply_trial(BASE, record.trials[0])
    assert (settings.learning_rate, settings.dropout) == (
        record.trials[0].learning_rate,
        record.trials[0].dropout,
    )
    assert settings.width == BASE.width  # what is not varied stays


def test_a_search_goes_on_where_it_was_stopped(tmp_path: Path, trained: list[CandidateSettings]) -> None:
    first = search(tmp_path, trials=3)
    assert len(trained) == 4  # the configured settings and three trials
    study = optuna.load_study(study_name="tiny", storage=f"sqlite:///{tmp_path / 'study.db'}")
    killed = study.ask()  # as kill -9 leaves a trial
    rate = tuning.suggest(killed, BASE, SPACE).learning_rate
    record = search(tmp_path, trials=5)
    assert len(trained) == 6
    assert trained[4].learning_rate == rate  # what was being tried is tried again
    assert record.trials[:3] == first.trials
    assert len(record.trials) == 5
    assert search(tmp_path, trials=5) == record
    assert len(trained) == 6


def test_a_strategy_is_given_only_what_it_reads() -> None:
    base = CandidateSettings.model_validate(
        {"backbone": "efficientnet_lite0", "weights": "auto", "strategy": "two_phase", "epochs": 3}
    )
    space = SpaceSettings(strategies=(Strategy.FROZEN,))
    settings = tuning.suggest(optuna.trial.FixedTrial({"strategy": "frozen"}), base, space)
    assert settings.strategy is Strategy.FROZEN
    assert settings.learning_rate is None
    tried = TrialRecord(number=4, state="complete", strategy="partial", learning_rate=0.002, dropout=0.3)
    changed = apply_trial(base, tried)
    assert (changed.strategy, changed.learning_rate, changed.epochs) == (Strategy.PARTIAL, 0.002, 3)


def test_equal_settings_are_trained_once(tmp_path: Path, trained: list[CandidateSettings]) -> None:
    images, splits = toy.make_images()
    space = SpaceSettings(learning_rate=(0.01, 0.01), augment=("none",), dropout=(0.2, 0.2))
    settings = TuningSettings(trials=4, space=space)
    record = tuning.tune("tiny", BASE, settings, images, splits, 3, tmp_path / "study.db")
    assert len(trained) == 2
    assert {each.nll for each in record.trials} == {0.0}


def test_a_trial_that_cannot_be_trained_is_recorded_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: list[CandidateSettings]
) -> None:
    train = vars(tuning)["train_candidate"]

    def fail(inputs: TrainingInputs, *others: object) -> object:
        if inputs.name == "trial_2":
            raise TrainingError("the loss became nan")
        return train(inputs, *others)

    monkeypatch.setattr(tuning, "train_candidate", fail)
    record = search(tmp_path, trials=3)
    assert [each.state for each in record.trials] == ["complete", "failed", "complete"]
    assert record.trials[1].reason == "the loss became nan"
    assert len(trained) == 3


@pytest.mark.parametrize(
    "space", [{"learning_rate": [0.1, 0.01]}, {"dropout": [0.0, 1.0]}, {"augment": ["lite"]}]
)
def test_a_space_that_cannot_be_searched_is_refused(space: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        SpaceSettings.model_validate(space)

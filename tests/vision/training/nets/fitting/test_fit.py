"""One seed, one network; the best epoch is kept; what cannot be trained says why."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests.vision.training.nets.toy import KERAS_WARNINGS, make_images, tiny_settings, train_tiny
from vision.base.errors import ConfigError, StorageError, TrainingError
from vision.base.files import storage_errors
from vision.base.outputs import ModelFile
from vision.base.progress import TrainingProgress
from vision.config.training import CandidateSettings
from vision.data.records import Split, Splits
from vision.training.nets.fitting import phases, state
from vision.training.nets.fitting.fit import train_candidate
from vision.training.nets.fitting.state import TrainingInputs
from vision.training.nets.inference import run_model
from vision.training.nets.models import EMBEDDING, build_model, load_trained
from vision.training.nets.seeding import seeded
from vision.training.records import TrainingHistory

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]


def quick(**changes: object) -> CandidateSettings:
    """The network that is trained in the least time."""
    return tiny_settings(backbone="cnn", **changes)


def mobilenet(weights: Path, strategy: str, **changes: object) -> CandidateSettings:
    return tiny_settings(
        backbone="mobilenet_v2", width=0.35, strategy=strategy, weights=str(weights), **changes
    )


def train(
    settings: CandidateSettings,
    folder: Path,
    seed: int = 3,
    progress: Callable[[TrainingProgress], None] | None = None,
    splits: Splits | None = None,
) -> tuple[ModelFile, TrainingHistory]:

    images, own_splits = make_images()
    model, _, history = train_candidate(
        TrainingInputs("tiny", settings, images, splits or own_splits, seed), folder, progress
    )
    return model, history


def accuracy(model: ModelFile, split: Split) -> float:

    images, splits = make_images()
    rows = splits.rows(split)
    outputs = run_model(model, images, rows)
    return float((outputs.logits.argmax(axis=1) == splits.labels()[rows]).mean())


def test_two_trainings_with_one_seed_give_the_same_bytes(tmp_path: Path) -> None:
    (first, history), (second, again) = (train(quick(), tmp_path / name) for name in "ab")
    assert first.digest == second.digest
    assert history.epochs == again.epochs


@pytest.mark.long
def test_mixed_precision_is_a_setting_and_the_network_is_saved_in_float32(tmp_path: Path) -> None:
    mixed, history = train(quick(mixed_precision=True, epochs=1), tmp_path / "mixed")
    plain, _ = train(quick(epochs=1), tmp_path / "plain")
    assert mixed.digest != plain.digest
    assert np.isfinite([epoch.validation_loss for epoch in history.epochs]).all()
    model = load_trained(mixed.path(ModelFile.FILE_NAME))
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}


def test_training_learns_and_keeps_the_epoch_of_lowest_validation_loss() -> None:
    model, history = train_tiny()
    losses = [epoch.validation_loss for epoch in history.epochs]
    assert history.best_epoch == int(np.argmin(losses)) + 1
    assert [epoch.epoch for epoch in history.epochs] == list(range(1, len(losses) + 1))
    assert history.num_train_images == 42
    assert model.embedding_width == 32
    assert accuracy(model, Split.VALIDATION) == pytest.approx(
        history.epochs[history.best_epoch - 1].validation_accuracy
    )
    assert accuracy(model, Split.CALIBRATION) > 0.8


def test_the_learning_rate_warms_up_and_falls_to_nothing() -> None:
    _, history = train_tiny()
    rates = [epoch.learning_rate for epoch in history.epochs]
    assert max(rates) <= 0.01
    assert rates[-1] < 0.05 * max(rates)


def test_progress_counts_down_and_the_random_state_of_the_process_is_left_alone(tmp_path: Path) -> None:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    expected = random.random(), np.random.random()  # noqa: NPY002
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    seen: list[TrainingProgress] = []
    train(quick(), tmp_path, progress=seen.append)
    assert [each.epoch for each in seen] == [1] * 5 + [2] * 5
    assert seen[-1].remaining_seconds == 0
    assert seen[-1].validation_accuracy is not None
    assert all(each.candidate == "tiny" and each.images_per_second > 0 for each in seen)
    assert (random.random(), np.random.random()) == expected  # noqa: NPY002


def test_no_better_validation_loss_for_patience_epochs_stops(tmp_path: Path) -> None:
    _, history = train(quick(epochs=30, learning_rate=1e-12, patience=1), tmp_path)
    assert len(history.epochs) < 30


def test_a_frozen_backbone_is_left_as_it_is_and_every_strength_is_reported(
    tmp_path: Path, weights: Path
) -> None:
    settings = mobilenet(weights, "frozen", head_regularisation=(0.01, 0.1))
    model, history = train(settings, tmp_path)
    assert [(epoch.phase, epoch.regularisation) for epoch in history.epochs] == [
        ("head", 0.01),
        ("head", 0.1),
    ]
    with seeded(0):
        trained = load_trained(model.path("model.keras"))
        fresh = build_model(settings, 3, 32, weights)
        names = [layer.name for layer in fresh.layers if layer.weights and layer.name != "logits"]
        for name in names:
            for before, after in zip(
                fresh.get_layer(name).get_weights(), trained.get_layer(name).get_weights(), strict=True
            ):
                assert_array_equal(before, after)
    assert model.embedding_width == fresh.get_layer(EMBEDDING).output.shape[-1]
    best = history.epochs[history.best_epoch - 1]
    assert best.loss == min(epoch.loss for epoch in history.epochs)
    images, _ = make_images()
    assert history.num_train_images == len(images)  # nothing is held back: the folds hold out
    assert accuracy(model, Split.CALIBRATION) > 0.9


@pytest.mark.long
def test_partial_trains_the_last_block_alone(tmp_path: Path, small_weights: Path) -> None:
    settings = mobilenet(small_weights, "partial")
    model, history = train(settings, tmp_path)
    assert {epoch.phase for epoch in history.epochs} == {"partial"}
    with seeded(0):
        trained = load_trained(model.path("model.keras"))
        fresh = build_model(settings, 3, 32, small_weights)
        for name, changed in (("block3_conv", False), ("block4_conv", True)):
            before, after = (net.get_layer(name).get_weights()[0] for net in (fresh, trained))
            assert (before != after).any() == changed
        statistics = [net.get_layer("block4_bn").get_weights()[2] for net in (fresh, trained)]
        assert_array_equal(*statistics)
    assert accuracy(model, Split.VALIDATION) == pytest.approx(
        history.epochs[history.best_epoch - 1].validation_accuracy
    )


@pytest.mark.long
def test_fine_tuning_that_fails_is_repeated_slower_and_then_gives_what_frozen_gives(
    tmp_path: Path, small_weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = mobilenet(small_weights, "two_phase", epochs=1, learning_rate=1.0, head_regularisation=(0.01,))
    with caplog.at_level("INFO"):
        model, history = train(settings, tmp_path / "tuned")
    assert [(row.epoch, row.phase) for row in history.epochs] == [(1, "head"), (2, "all"), (3, "slower")]
    assert history.best_epoch == 1
    assert model.fine_tuning_failed
    assert "did not help" in history.describe_kept()
    assert any("again at 0.1" in line for line in caplog.messages)
    assert any("did not help" in line for line in caplog.messages)
    frozen, _ = train(mobilenet(small_weights, "frozen", head_regularisation=(0.01,)), tmp_path / "frozen")
    assert frozen.files == model.files


def test_a_loss_that_is_not_finite_says_to_lower_the_learning_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        phases,
        "make_schedule",
        lambda *_: keras.optimizers.schedules.ExponentialDecay(float("nan"), 1, 1.0),
    )
    with pytest.raises(TrainingError, match=r"loss became nan in epoch 1. Lower training.candidates.tiny"):
        train(quick(epochs=1), tmp_path)


def test_a_full_disk_is_a_storage_error_and_leaves_no_model_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(model: object, path: Path) -> None:

        with storage_errors(path):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(state, "save_weights", fill)
    with pytest.raises(StorageError, match="No space"):
        train(quick(epochs=1), tmp_path)
    assert list(tmp_path.glob("*.keras")) == []


def test_missing_weights_and_an_empty_validation_split_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="do not exist"):
        train(mobilenet(tmp_path / "absent.h5", "frozen"), tmp_path)
    _, splits = make_images()
    only_train = tuple(Split.TRAIN for _ in splits.splits)
    alone = Splits.model_validate({**splits.model_dump(), "splits": only_train})
    with pytest.raises(TrainingError, match="validation has 0 images"):
        train(quick(), tmp_path, splits=alone)


def test_outputs_of_a_network_are_one_linear_layer_apart_whatever_the_batch() -> None:
    images, splits = make_images()
    model, _ = train_tiny()
    rows = np.arange(len(images))
    outputs = run_model(model, images, rows)
    some = run_model(model, images, rows[5:8])
    assert_allclose(outputs.embeddings @ outputs.kernel + outputs.bias, outputs.logits, atol=1e-4)
    assert_allclose(outputs.logits[5:8], some.logits, atol=1e-4)
    assert outputs.quality.shape[0] == len(images)
    assert run_model(model, images, rows[:0]).logits.shape == (0, len(splits.class_names))

"""Each part of the recipe does what it says: loss, rate, clipping, averaging, balance."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.vision.training.nets.toy import KERAS_WARNINGS, make_images, tiny_settings
from vision.base.outputs import ModelFile
from vision.base.softmax import nll, softmax
from vision.data.records import Split
from vision.training.nets.fitting.batches import balance_weights
from vision.training.nets.fitting.fit import train_candidate
from vision.training.nets.fitting.recipe import (
    averaged,
    make_callbacks,
    make_loss,
    make_optimizer,
    make_schedule,
    plateau_rate,
    rate_at,
)
from vision.training.nets.fitting.state import TrainingInputs
from vision.training.nets.fitting.watch import Phase
from vision.training.nets.inference import run_model
from vision.training.nets.seeding import seeded
from vision.training.recipe_words import describe_recipe

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]

PHASE = Phase("tiny", "full", peak=0.1, epochs=10, steps=10, batch_size=4, patience=3)


def step_with(clip_norm: float | None) -> float:
    """Where a weight of 0 ends after a large and a small gradient."""
    optimizer = make_optimizer(0.1, tiny_settings(clip_norm=clip_norm, weight_decay=0.0))
    weight = keras.Variable([0.0])
    for gradient in (100.0, 1.0):
        optimizer.apply([keras.ops.convert_to_tensor([gradient])], [weight])
    return float(keras.ops.convert_to_numpy(weight)[0])


def test_focal_loss_counts_images_that_are_right_less() -> None:
    logits, labels = np.array([[2.0, 0.0], [0.0, 2.0]], "f"), np.array([[1, 0], [1, 0]], "f")
    truth = softmax(logits)[:, 0]
    plain = float(make_loss(tiny_settings())(labels, logits))
    focal = float(make_loss(tiny_settings(loss="focal", focal_gamma=3.0))(labels, logits))
    assert_allclose(plain, -np.log(truth).mean(), rtol=1e-5)
    assert_allclose(focal, (-((1 - truth) ** 3) * np.log(truth)).mean(), rtol=1e-5)


def test_a_clipped_gradient_leaves_the_next_step_its_size() -> None:
    assert_allclose(step_with(1.0), -0.2, atol=1e-3)
    assert step_with(None) > -0.19


def test_the_warm_up_is_as_long_as_asked_and_a_plateau_starts_at_the_peak() -> None:
    warm = tiny_settings(warm_up=0.5)
    schedule = make_schedule(PHASE, warm)
    optimizer = make_optimizer(schedule, warm)
    rates = [rate_at(schedule, optimizer, step) for step in (0, 25, 50, 100)]
    assert_allclose(rates, [0, 0.05, 0.1, 0], atol=1e-6)
    settings = tiny_settings(schedule="plateau")
    flat = make_schedule(PHASE, settings)
    assert rate_at(flat, make_optimizer(flat, settings), 7) == pytest.approx(0.1)


def test_a_plateau_lowers_the_rate_by_the_losses_alone_and_the_optimiser_gets_it() -> None:
    assert plateau_rate(0.9, [3, 2, 2.5, 2]) == 0.9
    assert plateau_rate(0.9, [3, 2, 2.5, 2, 2]) == pytest.approx(0.3)
    assert plateau_rate(0.9, [3, 2, 2, 2, 2, 1, 1, 1, 1]) == pytest.approx(0.1)
    settings = tiny_settings(schedule="plateau")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(make_optimizer(0.9, settings), loss="mse")
    callbacks = make_callbacks(settings, 0.9, lambda: [1.0, 1.0, 1.0, 1.0])
    model.fit(np.ones((4, 2)), np.ones(4), epochs=1, verbose=0, callbacks=callbacks)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.3)


def test_the_running_mean_of_the_weights_is_what_is_judged_and_kept(tmp_path: Path) -> None:
    images, splits = make_images()
    rows = splits.rows(Split.VALIDATION)
    told = []
    for name, share in (("plain", 0.0), ("mean", 0.9)):
        settings = tiny_settings(backbone="cnn", weight_averaging=share, epochs=1)
        file, _, history = train_candidate(
            TrainingInputs("tiny", settings, images, splits, 3), tmp_path / name
        )
        logits = run_model(file, images, rows).logits
        assert_allclose(
            nll(logits, splits.labels()[rows]), history.epochs[0].validation_loss, rtol=1e-4, atol=1e-5
        )
        told.append((file.digest, history.epochs[0].validation_loss))
    (plain, plain_loss), (mean, mean_loss) = told
    assert plain != mean
    assert plain_loss != pytest.approx(mean_loss, rel=1e-3)
    assert file.path(ModelFile.FILE_NAME).is_file()


def test_the_mean_is_in_the_network_only_while_it_is_asked_for() -> None:
    settings = tiny_settings(weight_averaging=0.5)
    with seeded(1):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
        model.compile(make_optimizer(0.1, settings), loss="mse")
        seen = []
        for _ in range(2):
            model.fit(np.ones((1, 1)), np.full(1, 9.0), epochs=1, verbose=0)
            seen.append(float(model.get_weights()[0][0, 0]))
        # At the end of `fit` Keras itself puts the mean in.
        model.optimizer.apply([keras.ops.ones((1, 1))], model.trainable_variables)
        raw = float(model.get_weights()[0][0, 0])
        with averaged(model, settings):
            assert float(model.get_weights()[0][0, 0]) == pytest.approx((seen[1] + raw) / 2, abs=1e-6)
        assert float(model.get_weights()[0][0, 0]) == pytest.approx(raw, abs=1e-6)


@pytest.mark.parametrize(("balance", "smallest"), [("none", 1.0), ("auto", 1.0), ("weights", 2 / 3)], ids=str)
def test_classes_that_differ_threefold_are_weighted_where_it_is_asked_for(
    balance: str, smallest: float
) -> None:
    labels = np.array([0, 1, 1, 1])
    weights = balance_weights(labels, 2, balance)
    assert weights.min() == pytest.approx(smallest)
    assert weights.mean() == pytest.approx(1.0)
    assert balance_weights(np.array([0, 1, 1, 1, 1]), 2, "none").max() == 1.0


def test_what_was_done_is_said() -> None:
    labels = np.array([0, 1, 1, 1, 1])
    settings = tiny_settings(
        loss="focal", clip_norm=1.0, weight_averaging=0.99, schedule="plateau", augment="cutmix"
    )
    told = "; ".join(describe_recipe(settings, labels, balance_weights(labels, 2), augmented=True))
    for word in (
        "focal",
        "plateaus",
        "norm 1",
        "0.99",
        "cutmix 1",
        "weighted 0.62 to 2.5",
        "of those trained on",
        "4.0 times",
    ):
        assert word in told
    alike = describe_recipe(tiny_settings(), np.array([0, 1]), np.ones(2), augmented=True)
    assert alike[-1] == "images count alike"

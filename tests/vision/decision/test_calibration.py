from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vision.base.errors import TooFewImagesError
from vision.base.softmax import nll, softmax
from vision.config.evaluation import BootstrapSettings
from vision.decision.calibration import (
    BOUNDS,
    assign_folds,
    fit_temperature,
    measure_gain,
    minimise_nll,
)

Array = npt.NDArray[Any]
SETTINGS = BootstrapSettings(resamples=300)


def draw_calibrated(num: int, seed: int = 0, num_classes: int = 4) -> tuple[Array, Array]:
    """Logits, and labels drawn from their own softmax: perfectly calibrated."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2.0, size=(num, num_classes))
    labels = np.array([rng.choice(num_classes, p=probs) for probs in softmax(logits)])
    return logits, labels


@pytest.mark.parametrize("factor", [0.5, 2.0, 4.0])
def test_the_factor_that_spoiled_the_logits_is_found(factor: float) -> None:
    logits, labels = draw_calibrated(4000)
    assert minimise_nll(factor * logits, labels) == pytest.approx(factor, rel=0.07)


def test_no_other_temperature_has_a_lower_nll() -> None:
    logits, labels = draw_calibrated(200)
    best = minimise_nll(3 * logits, labels)
    others = np.geomspace(*BOUNDS, 200)
    assert nll(3 * logits, labels, best) <= min(nll(3 * logits, labels, t) for t in others) + 1e-9


def test_overconfident_logits_are_divided() -> None:
    logits, labels = draw_calibrated(300)
    temperature = fit_temperature(3 * logits, labels, np.arange(300), SETTINGS, np.random.default_rng(0))
    assert temperature.applied
    assert temperature.value == temperature.fitted_value == pytest.approx(3.0, rel=0.25)
    assert temperature.gain.low > 0
    assert temperature.nll_after < temperature.nll_before
    assert (temperature.num_images, temperature.num_groups) == (300, 300)


def test_calibrated_logits_are_left_alone_most_of_the_time() -> None:
    applied = 0
    for seed in range(12):
        logits, labels = draw_calibrated(150, seed)
        temperature = fit_temperature(logits, labels, np.arange(150), SETTINGS, np.random.default_rng(seed))
        applied += temperature.applied
        if not temperature.applied:
            assert temperature.value == 1.0
            assert temperature.nll_after == temperature.nll_before
            assert temperature.fitted_value != 1.0
    assert applied <= 2


def test_the_gain_is_measured_on_images_that_were_not_fitted() -> None:
    """In sample it could not be negative; on a few calibrated images it mostly is."""
    gains = []
    for seed in range(8):
        logits, labels = draw_calibrated(40, seed)
        gain = measure_gain(logits, labels, np.arange(40), SETTINGS, np.random.default_rng(seed))
        gains.append(gain.value)
    assert min(gains) < 0


def test_images_copied_within_their_group_add_no_evidence() -> None:
    logits, labels = draw_calibrated(12, seed=3)
    copies = np.repeat(np.arange(12), 30)
    alone = measure_gain(1.6 * logits, labels, np.arange(12), SETTINGS, np.random.default_rng(0))
    copied = measure_gain(1.6 * logits[copies], labels[copies], copies, SETTINGS, np.random.default_rng(0))
    assert copied.high - copied.low > 0.6 * (alone.high - alone.low)


@pytest.mark.parametrize(("num_groups", "num_folds"), [(2, 2), (4, 4), (5, 5), (12, 5)])
def test_a_group_lies_in_one_fold_and_every_fold_has_one(num_groups: int, num_folds: int) -> None:
    groups = np.repeat(np.arange(num_groups), 3)
    folds = assign_folds(groups, 5, np.random.default_rng(0))
    assert len(set(zip(groups.tolist(), folds.tolist(), strict=True))) == num_groups
    assert set(folds.tolist()) == set(range(num_folds))


def test_one_group_cannot_justify_a_temperature() -> None:
    logits, labels = draw_calibrated(50)
    temperature = fit_temperature(5 * logits, labels, np.zeros(50), SETTINGS, np.random.default_rng(0))
    assert not temperature.applied
    assert temperature.value == 1.0
    assert np.isnan(temperature.gain.low)


def test_answers_that_are_all_right_end_near_the_lower_bound() -> None:
    logits = 3.0 * np.eye(3)[np.arange(30) % 3]
    assert BOUNDS[0] <= minimise_nll(logits, np.arange(30) % 3) < 0.15


def test_no_image_is_refused() -> None:
    with pytest.raises(TooFewImagesError, match="no image"):
        fit_temperature(
            np.zeros((0, 3)), np.zeros(0, dtype=int), np.zeros(0), SETTINGS, np.random.default_rng(0)
        )


@given(
    hnp.arrays(np.float32, (6, 4), elements=st.floats(-50, 50, width=32)),
    st.floats(*BOUNDS),
)
def test_temperature_keeps_the_argmax(logits: Array, temperature: float) -> None:
    probs = softmax(logits, temperature)
    rows = np.arange(len(logits))
    assert (probs[rows, logits.argmax(axis=1)] == probs.max(axis=1)).all()

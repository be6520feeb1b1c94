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
    assign_folds,
    choose_temperature,
    fit_temperature,
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
def test_the_factor_that_spoiled_the_logits_is_found_from_the_side_of_one(factor: float) -> None:
    logits, labels = draw_calibrated(4000)
    best, nearest = choose_temperature(factor * logits, labels, np.arange(4000))
    assert best == pytest.approx(factor, rel=0.07)
    assert nearest == pytest.approx(factor, rel=0.12)
    assert abs(np.log(nearest)) <= abs(np.log(best))


def test_overconfident_logits_are_divided() -> None:
    logits, labels = draw_calibrated(300)
    temperature = fit_temperature(3 * logits, labels, np.arange(300), SETTINGS, np.random.default_rng(0))
    assert temperature.applied
    assert 1.5 < temperature.value < temperature.fitted_value == pytest.approx(3.0, rel=0.25)
    assert temperature.gain.low > 0
    assert temperature.nll_after < temperature.nll_before
    assert (temperature.num_images, temperature.num_groups) == (300, 300)


def test_calibrated_logits_are_left_alone() -> None:
    applied = 0
    for seed in range(20):
        logits, labels = draw_calibrated(150, seed)
        temperature = fit_temperature(logits, labels, np.arange(150), SETTINGS, np.random.default_rng(seed))
        applied += temperature.applied
        assert temperature.applied == (temperature.value != 1.0)
        assert temperature.accuracy is not None
        assert temperature.accuracy.value == (logits.argmax(axis=1) == labels).mean()
        assert temperature.fitted_value != 1.0 or not temperature.applied
    assert applied <= 2


@pytest.mark.parametrize("num", [40, 238])
def test_answers_that_are_nearly_all_right_do_not_end_in_certainty(num: int) -> None:
    """On images that it was not chosen on, it is worse than none in at most one of 20 draws."""
    worse = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        labels = np.arange(4000) % 8
        shown = np.where(rng.random(4000) < 0.02, rng.integers(8, size=4000), labels)
        logits = 4.0 * np.eye(8)[shown] + rng.normal(scale=0.7, size=(4000, 8))
        _, value = choose_temperature(logits[:num], labels[:num], np.arange(num))
        worse += nll(logits[num:], labels[num:], value) > nll(logits[num:], labels[num:]) + 1e-4
        assert value > 0.3
    assert worse <= 1


def test_images_copied_within_their_group_add_no_evidence() -> None:
    logits, labels = draw_calibrated(100, seed=3)
    groups = np.arange(100)
    copies = np.repeat(groups, 10)
    alone = choose_temperature(4 * logits, labels, groups)
    copied = choose_temperature(4 * logits[copies], labels[copies], copies)
    assert copied == alone
    assert alone[1] > 1.0


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


def test_no_image_is_refused() -> None:
    with pytest.raises(TooFewImagesError, match="no image"):
        fit_temperature(
            np.zeros((0, 3)), np.zeros(0, dtype=int), np.zeros(0), SETTINGS, np.random.default_rng(0)
        )


@given(
    hnp.arrays(np.float32, (6, 4), elements=st.floats(-50, 50, width=32)),
    st.floats(0.05, 20.0),
)
def test_temperature_keeps_the_argmax(logits: Array, temperature: float) -> None:
    probs = softmax(logits, temperature)
    rows = np.arange(len(logits))
    assert (probs[rows, logits.argmax(axis=1)] == probs.max(axis=1)).all()

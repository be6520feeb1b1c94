"""Fitting: detectors of awkward embeddings, thresholds that keep their promise."""

from __future__ import annotations

import re
from dataclasses import replace
from math import erfc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.covariance import LedoitWolf

from tests.vision.decision.clusters import Clusters, score
from vision.base.errors import DataError, TooFewImagesError, TrainingError
from vision.config.decision import UnknownSettings
from vision.decision import arrays
from vision.decision.formulas import combine
from vision.decision.scores import COMBINATIONS, OodScore
from vision.decision.unknown_threshold import fewest_for_threshold, fit_threshold

NUM_QUALITY = 3


# --- detector -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMBINATIONS)
def test_parts_of_a_combination_have_mean_zero_and_spread_one_on_validation(name: OodScore) -> None:
    clusters = Clusters()
    validation, _ = clusters.known(60)
    detector = clusters.fit(validation=validation)
    location, scale = detector.arrays[f"{name}_location"], detector.arrays[f"{name}_scale"]
    parts = np.stack([score(detector, validation, part) for part in COMBINATIONS[name]], axis=1)
    z = (parts - location) / scale
    assert_allclose(z.mean(axis=0), 0, atol=1e-9)
    assert_allclose(z.std(axis=0), 1, atol=1e-9)
    combined = combine(parts, location, scale)
    assert_allclose(combined, z.mean(axis=1))


def test_mahalanobis_is_that_of_scikit_learns_covariance() -> None:
    clusters = Clusters()
    train, labels = clusters.known(120)
    detector = clusters.fit(train=train, train_labels=labels)
    means = np.stack([train.embeddings[labels == label].mean(axis=0) for label in range(3)])
    shrunk = LedoitWolf(assume_centered=True).fit(train.embeddings - means[labels])
    probe, _ = clusters.known(20)
    expected = np.min([shrunk.mahalanobis(probe.embeddings - mean) for mean in means], axis=0)
    assert_allclose(score(detector, probe, OodScore.MAHALANOBIS), expected, rtol=1e-3)


def test_vim_scale_matches_virtual_logits_with_real_ones_on_training_images() -> None:
    clusters = Clusters()
    train, labels = clusters.known(120)
    detector = clusters.fit(train=train, train_labels=labels)
    virtual = score(detector, train, OodScore.VIM) - score(detector, train, OodScore.ENERGY)
    assert virtual.mean() == pytest.approx(abs(train.logits.max(axis=1).mean()), rel=1e-4)


def test_vim_origin_is_where_all_logits_are_zero() -> None:
    clusters = Clusters()
    origin = clusters.fit().arrays["vim_origin"]
    assert_allclose(origin @ clusters.kernel + clusters.bias, 0, atol=1e-3)


def test_equal_columns_of_the_head_give_no_boundary() -> None:
    clusters = Clusters()
    clusters.kernel[:, 2] = clusters.kernel[:, 1]
    train, labels = clusters.known(120)
    inverse = clusters.fit(train=train, train_labels=labels).arrays["fdbd_inverse_distances"]
    spread = train.embeddings.std(axis=0)
    distance = np.linalg.norm((clusters.kernel[:, 0] - clusters.kernel[:, 1]) * spread)
    assert_allclose(inverse, np.array([[0, 1, 1], [1, 0, 0], [1, 0, 0]]) / distance, rtol=1e-6)


def test_fdbd_does_not_depend_on_the_units_of_the_embedding() -> None:
    clusters = Clusters()
    train, labels = clusters.known(120)
    units = np.geomspace(0.1, 10, 8).astype(np.float32)
    scaled = replace(train, embeddings=train.embeddings * units, kernel=train.kernel / units[:, None])
    plain = score(clusters.fit(train=train, train_labels=labels), train, OodScore.FDBD)
    detector = clusters.fit(train=scaled, train_labels=labels, validation=scaled)
    assert_allclose(score(detector, scaled, OodScore.FDBD), plain, rtol=1e-4)


def test_a_unit_that_never_fires_in_training_has_no_say_in_fdbd() -> None:
    clusters = Clusters()
    train, labels = clusters.known(120)
    embeddings = train.embeddings.copy()
    embeddings[:, 5] = 0
    detector = clusters.fit(train=replace(train, embeddings=embeddings), train_labels=labels)
    fired = embeddings.copy()
    fired[:, 5] = 100
    first = score(detector, replace(train, embeddings=embeddings), OodScore.FDBD)
    assert_allclose(score(detector, replace(train, embeddings=fired), OodScore.FDBD), first)


def test_two_fits_with_one_seed_are_equal() -> None:
    first, second = Clusters().fit(seed=4), Clusters().fit(seed=4)
    assert first.score_name == second.score_name == "fwk"
    assert first.arrays.keys() == second.arrays.keys()
    for name, array in first.arrays.items():
        assert_array_equal(array, second.arrays[name])


def test_a_full_bank_is_spread_over_classes_and_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "MAX_BANK_ROWS", 6)
    clusters = Clusters()
    labels = np.array([0] * 40 + [1] * 40 + [2] * 2)
    groups = np.array(["a"] * 38 + ["b", "c"] + ["d"] * 20 + ["e"] * 20 + ["f", "g"])
    train = clusters.outputs(clusters.means[labels] + clusters.rng.normal(size=(82, 8)))
    detector = clusters.fit(train=train, train_labels=labels, train_groups=groups)
    unit = train.embeddings / np.linalg.norm(train.embeddings, axis=1, keepdims=True)
    rows = [int(np.argmax(unit @ kept)) for kept in detector.arrays["bank"]]
    assert np.bincount(labels[rows]).tolist() == [2, 2, 2]
    assert all(len(set(groups[[row for row in rows if labels[row] == own]])) == 2 for own in range(3))


@pytest.mark.parametrize("name", [OodScore.EWK, OodScore.FWK, OodScore.KNN, OodScore.MAHALANOBIS])
def test_of_very_many_images_some_of_each_class_say_the_same(
    monkeypatch: pytest.MonkeyPatch, name: OodScore
) -> None:
    whole = Clusters().fit(3000)
    monkeypatch.setattr(arrays, "MAX_FITTED_ROWS", 1500)
    some = Clusters().fit(3000)
    assert len(some.arrays["bank"]) == 1500
    asked, _ = Clusters(seed=1).known(200)
    assert np.corrcoef(score(whole, asked, name), score(some, asked, name))[0, 1] > 0.98


def test_a_bank_with_room_holds_every_training_image() -> None:
    assert Clusters().fit(33).arrays["bank"].shape == (33, 8)


def test_a_class_without_training_images_is_refused() -> None:
    clusters = Clusters()
    train, labels = clusters.known(30)
    with pytest.raises(TooFewImagesError, match=re.escape("[10, 20, 0]")):
        clusters.fit(train=train, train_labels=np.minimum(labels, 1), train_groups=np.arange(30).astype(str))


def test_an_unknown_image_among_the_training_images_is_refused() -> None:
    clusters = Clusters()
    train, labels = clusters.known(30)
    labels[3] = -1
    with pytest.raises(TooFewImagesError, match="no other label"):
        clusters.fit(train=train, train_labels=labels, train_groups=np.arange(30).astype(str))


def test_a_single_class_and_a_single_validation_image_are_refused() -> None:
    clusters = Clusters(k=1)
    with pytest.raises(TooFewImagesError, match="at least two labels"):
        clusters.fit()
    clusters = Clusters()
    with pytest.raises(TooFewImagesError, match="1 validation images"):
        clusters.fit(validation=clusters.known(1)[0])


def test_labels_of_other_images_are_refused() -> None:
    with pytest.raises(DataError, match="120 training outputs come with 119 labels"):
        Clusters().fit(train_labels=np.zeros(119, dtype=np.int64))


@pytest.mark.parametrize("part", ["logits", "embeddings", "early"])
@pytest.mark.parametrize("split", ["train", "validation"])
def test_outputs_that_are_not_finite_are_refused(part: str, split: str) -> None:
    clusters = Clusters()
    outputs, _ = clusters.known(120)
    outputs = replace(outputs, early=np.ones((len(outputs.rows), 4), np.float32))
    values = getattr(outputs, part).copy()
    values[7, 1] = np.nan
    broken: dict[str, Any] = {split: replace(outputs, **{part: values})}
    with pytest.raises(TrainingError, match=f"1 values of the {split}.* {part} are not finite"):
        clusters.fit(**broken)


# --- threshold ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("num", "allowed"), [(59, 0), (100, 1), (200, 4), (500, 16), (1000, 38), (2000, 83), (5000, 224)]
)
def test_single_images_allow_the_measured_number_of_false_alarms(num: int, allowed: int) -> None:
    scores = np.random.default_rng(0).permutation(np.arange(num, dtype=float))
    threshold = fit_threshold(scores, np.arange(num).astype(str), UnknownSettings(alpha=0.05))
    assert threshold.attainable
    assert threshold.num_allowed == allowed
    assert threshold.value == num - 1 - allowed
    assert (threshold.num_images, threshold.num_groups, threshold.effective_size) == (num, num, num)
    assert threshold.calibration_scores == tuple(float(i) for i in range(num))


def test_groups_that_agree_wholly_count_once_each() -> None:
    groups = np.repeat(np.arange(100), 5)
    threshold = fit_threshold(groups.astype(float), groups.astype(str), UnknownSettings(alpha=0.05))
    assert threshold.design_effect == pytest.approx(5.0)
    assert threshold.effective_size == 100
    assert threshold.num_groups == 100
    # m = 1 of 100 effective images: position 5 * 1, the sixth largest of 99 99 99 99 99 98 ... is 98.
    assert threshold.value == 98.0
    assert threshold.num_allowed == 5


def test_too_few_images_for_the_promise_say_what_they_can_promise() -> None:
    scores = np.arange(58, dtype=float)
    threshold = fit_threshold(scores, scores.astype(str), UnknownSettings(alpha=0.05))
    assert not threshold.attainable
    assert threshold.value == 57.0
    assert threshold.num_allowed == 0
    assert threshold.attainable_alpha == pytest.approx(1 - 0.05 ** (1 / 58))


@pytest.mark.parametrize(("num", "alpha"), [(2000, 0.05), (100, 0.1), (40, 0.2), (14, 0.2)])
def test_auto_is_the_strictest_alpha_that_leaves_a_useful_threshold(num: int, alpha: float) -> None:
    threshold = fit_threshold(np.arange(float(num)), np.arange(num).astype(str), UnknownSettings())
    assert (threshold.alpha, threshold.found, threshold.attainable) == (alpha, True, True)
    assert [rung.alpha for rung in threshold.ladder] == [0.05, 0.1, 0.2]


@given(st.integers(0, 10_000))
def test_what_is_attainable_at_one_alpha_is_so_at_every_larger_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(40), rng.integers(1, 6, 40))
    scores = rng.normal(size=40)[groups] + rng.normal(size=len(groups))
    fits = [
        fit_threshold(scores, groups.astype(str), UnknownSettings(alpha=alpha))
        for alpha in (0.02, 0.05, 0.053, 0.054, 0.06, 0.1, 0.2)
    ]
    attainable = [each.attainable for each in fits]
    assert attainable == sorted(attainable)
    smallest = fits[0].attainable_alpha
    assert fit_threshold(
        scores, groups.astype(str), UnknownSettings(alpha=min(0.9, smallest + 1e-9))
    ).attainable


def test_one_group_can_promise_next_to_nothing() -> None:
    threshold = fit_threshold(np.arange(500.0), np.array(["a"] * 500), UnknownSettings(alpha=0.05))
    assert threshold.effective_size == 1
    assert not threshold.attainable
    assert threshold.attainable_alpha == pytest.approx(0.95)


@given(num=st.integers(1, 400), delta=st.floats(0.01, 0.9), margin=st.floats(1.001, 3.0))
def test_the_smallest_attainable_alpha_is_the_border(num: int, delta: float, margin: float) -> None:
    scores, groups = np.arange(num, dtype=float), np.arange(num).astype(str)
    border = fit_threshold(scores, groups, UnknownSettings(alpha=0.5, delta=delta)).attainable_alpha
    below = fit_threshold(scores, groups, UnknownSettings(alpha=border / margin, delta=delta))
    assert not below.attainable
    if border * margin < 1:
        assert fit_threshold(scores, groups, UnknownSettings(alpha=border * margin, delta=delta)).attainable


def test_equal_scores_are_all_within_the_threshold() -> None:
    threshold = fit_threshold(np.full(200, 3.0), np.arange(200).astype(str), UnknownSettings(alpha=0.05))
    assert threshold.value == 3.0
    assert threshold.num_allowed == 0


def test_the_promise_holds_for_groups_where_the_plain_quantile_breaks_it() -> None:
    rng = np.random.default_rng(3)
    settings = UnknownSettings(alpha=0.1, delta=0.05)
    broken = {"ours": 0, "plain": 0}
    groups = np.repeat(np.arange(80), 6)
    for _ in range(200):
        scores = np.repeat(rng.normal(size=80), 6) + rng.normal(size=480)
        threshold = fit_threshold(scores, groups.astype(str), settings)
        alarms = {"ours": threshold.value, "plain": float(np.quantile(scores, 0.9))}
        for name, value in alarms.items():
            broken[name] += _share_above(value) > 0.1
    assert broken["ours"] / 200 <= 0.08
    assert broken["plain"] / 200 >= 0.3


def _share_above(value: float) -> float:
    """Share of N(0, 2) above `value`: what a threshold really calls unknown in the simulation."""
    return 0.5 * erfc(value / 2)


def test_scores_that_cannot_be_ranked_are_refused() -> None:
    with pytest.raises(TooFewImagesError, match="no held-out image"):
        fit_threshold(np.zeros(0), np.array([], dtype=str), UnknownSettings(alpha=0.05))
    with pytest.raises(DataError, match="1 of 3 held-out scores are not finite"):
        fit_threshold(np.array([0, np.nan, 1]), np.array(["a", "b", "c"]), UnknownSettings(alpha=0.05))
    with pytest.raises(DataError, match="one group per score"):
        fit_threshold(np.zeros(3), np.array(["a", "b"]), UnknownSettings(alpha=0.05))


@pytest.mark.parametrize(
    ("alpha", "delta", "fewest"), [(0.05, 0.05, 59), (0.05, 0.5, 19), (0.1, 0.05, 29), (0.01, 0.05, 299)]
)
def test_the_fewest_images_that_carry_the_promise_do_and_one_less_does_not(
    alpha: float, delta: float, fewest: int
) -> None:
    settings = UnknownSettings(alpha=alpha, delta=delta)
    assert fewest_for_threshold(alpha, delta) == fewest
    for num, attainable in ((fewest, True), (fewest - 1, False)):
        assert (
            fit_threshold(np.arange(float(num)), np.arange(num).astype(str), settings).attainable
            == attainable
        )

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as oracle

from vision.base import resampling, softmax
from vision.base.errors import DataError
from vision.config.evaluation import BootstrapSettings
from vision.evaluation import metrics

Array = npt.NDArray[Any]
SETTINGS = BootstrapSettings(resamples=200)


def make_classification(num: int = 200, num_classes: int = 5) -> tuple[Array, Array, Array]:
    """Labels, predictions that are right about two times in three, and logits."""
    rng = np.random.default_rng(0)
    labels = rng.integers(num_classes, size=num)
    logits = rng.normal(size=(num, num_classes)) + 1.5 * np.eye(num_classes)[labels]
    return labels, logits.argmax(axis=1), logits


# --- probabilities


def test_softmax_of_huge_logits_is_finite_and_adds_up_to_one() -> None:
    probs = softmax.softmax(np.array([[1e4, -1e4, 0.0], [1e4, 1e4, 1e4]]))
    np.testing.assert_allclose(probs, [[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])


def test_nll_is_the_mean_in_nats_of_the_true_class() -> None:
    logits = np.log(np.array([[0.5, 0.5], [0.2, 0.8]]))
    assert softmax.nll(logits, np.array([0, 1])) == pytest.approx(-(np.log(0.5) + np.log(0.8)) / 2)


def test_nll_agrees_with_scikit_learn_on_float32_logits() -> None:
    labels, _, logits = make_classification()
    expected = oracle.log_loss(labels, softmax.softmax(logits))
    assert softmax.nll(logits.astype(np.float32), labels) == pytest.approx(expected, abs=1e-6)


def test_temperature_divides_the_logits() -> None:
    logits = np.array([[2.0, 0.0]])
    assert softmax.softmax(logits, 2.0)[0, 0] == pytest.approx(1 / (1 + np.exp(-1.0)))


def test_brier_sums_over_classes_and_reaches_two() -> None:
    probs = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    assert metrics.brier_per_image(probs[:1], np.array([2])).tolist() == [2.0]
    assert metrics.brier_per_image(probs, np.array([0, 0])).tolist() == [0.0, 0.5]


# --- classes


def test_precision_recall_and_f1_agree_with_scikit_learn() -> None:
    labels, predictions, _ = make_classification()
    counts = metrics.class_counts(metrics.class_indicators(labels, predictions, 5).sum(axis=0))
    expected: Any = oracle.precision_recall_fscore_support(labels, predictions)
    precision, recall, f1, support = expected
    np.testing.assert_allclose(counts.precision(), precision)
    np.testing.assert_allclose(counts.recall(), recall)
    np.testing.assert_allclose(counts.f1(), f1)
    np.testing.assert_array_equal(counts.support, support)
    assert counts.macro_f1() == pytest.approx(oracle.f1_score(labels, predictions, average="macro"))
    assert counts.weighted_f1() == pytest.approx(oracle.f1_score(labels, predictions, average="weighted"))


def test_macro_f1_leaves_out_a_class_that_occurs_nowhere_as_scikit_learn_does() -> None:
    labels, predictions = np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1])
    counts = metrics.class_counts(metrics.class_indicators(labels, predictions, 4).sum(axis=0))
    assert np.isnan(counts.f1()[2:]).all()
    assert counts.macro_f1() == pytest.approx(oracle.f1_score(labels, predictions, average="macro"))


def test_a_class_that_is_never_predicted_has_f1_zero_and_no_precision() -> None:
    counts = metrics.class_counts(metrics.class_indicators(np.array([0, 1]), np.array([0, 0]), 2).sum(axis=0))
    assert counts.f1()[1] == 0.0
    assert counts.recall()[1] == 0.0
    assert np.isnan(counts.precision()[1])
    assert counts.macro_f1() == pytest.approx((2 / 3 + 0) / 2)


def test_confusion_has_true_classes_in_rows() -> None:
    confusion = metrics.confusion_matrix(np.array([0, 0, 1, 2]), np.array([1, 0, 1, 1]), 3)
    np.testing.assert_array_equal(confusion, [[1, 1, 0], [0, 1, 0], [0, 1, 0]])


@pytest.mark.parametrize(
    "call",
    [
        lambda: softmax.nll(np.zeros((0, 3)), np.array([], dtype=int)),
        lambda: metrics.ece(np.array([]), np.array([], dtype=bool)),
        lambda: metrics.adaptive_ece(np.array([]), np.array([], dtype=bool)),
        lambda: metrics.ece_floor(np.array([]), np.random.default_rng(0)),
        lambda: resampling.design_effect(np.array([]), np.array([])),
    ],
)
def test_figures_about_no_image_at_all_are_refused(call: Callable[[], Any]) -> None:
    with pytest.raises(DataError, match="without any image"):
        call()


# --- calibration


def test_ece_is_the_gap_weighted_by_bin_size() -> None:
    confidence = np.array([0.9, 0.9, 0.9, 0.9, 0.5, 0.5])
    correct = np.array([True, True, True, False, True, True])
    assert metrics.ece(confidence, correct) == pytest.approx(4 / 6 * 0.15 + 2 / 6 * 0.5)


def test_ece_counts_confidence_of_exactly_one() -> None:
    assert metrics.ece(np.ones(4), np.zeros(4, dtype=bool)) == 1.0
    assert metrics.ece(np.ones(4), np.ones(4, dtype=bool)) == 0.0


def test_a_confidence_on_an_edge_belongs_to_the_upper_bin() -> None:
    edges = np.array([0.0, 1 / 15, 0.2, 0.6, 14 / 15, 1.0])
    np.testing.assert_array_equal(metrics.bin_confidence(edges), [0, 1, 3, 9, 14, 14])


def test_adaptive_ece_of_two_bins_of_equal_mass() -> None:
    confidence = np.array([0.6, 0.7, 0.8, 0.9])
    correct = np.array([True, False, True, True])
    expected = 0.5 * abs(0.65 - 0.5) + 0.5 * abs(0.85 - 1.0)
    assert metrics.adaptive_ece(confidence, correct, num_bins=2) == pytest.approx(expected)


def test_adaptive_ece_does_not_depend_on_the_order_of_tied_confidences() -> None:
    rng = np.random.default_rng(1)
    confidence = np.repeat([0.6, 0.9, 1.0], 20)
    correct = rng.random(60) < confidence
    shuffled = rng.permutation(60)
    assert metrics.adaptive_ece(confidence, correct) == pytest.approx(
        metrics.adaptive_ece(confidence[shuffled], correct[shuffled])
    )


def test_ece_floor_is_what_a_calibrated_model_exceeds_one_time_in_twenty() -> None:
    rng = np.random.default_rng(2)
    confidence = rng.uniform(0.3, 1.0, size=300)
    floor = metrics.ece_floor(confidence, rng)
    above = [metrics.ece(confidence, rng.random(300) < confidence) > floor for _ in range(600)]
    assert 0.02 < np.mean(above) < 0.09


def test_reliability_bins_hold_every_image_once_and_nan_where_empty() -> None:
    bins = metrics.reliability_bins(np.array([0.95, 1.0, 0.5]), np.array([True, False, True]))
    assert sum(one.num_images for one in bins) == 3
    assert bins[-1].num_images == 2
    assert bins[-1].confidence == pytest.approx(0.975)
    assert bins[-1].accuracy == 0.5
    assert np.isnan(bins[0].accuracy)
    assert (bins[0].low, bins[-1].high) == (0.0, 1.0)


# --- unknowns


@given(
    hnp.arrays(np.int64, st.integers(1, 30), elements=st.integers(0, 8)),
    hnp.arrays(np.int64, st.integers(1, 30), elements=st.integers(0, 8)),
)
def test_auroc_agrees_with_scikit_learn_whatever_the_ties(known: Array, unknown: Array) -> None:
    truth = np.repeat([0, 1], [len(known), len(unknown)])
    expected = oracle.roc_auc_score(truth, np.concatenate([known, unknown]))
    assert metrics.auroc(known.astype(float), unknown.astype(float)) == pytest.approx(expected)


@given(
    hnp.arrays(np.int64, st.integers(1, 20), elements=st.integers(-5, 5)),
    hnp.arrays(np.int64, st.integers(1, 20), elements=st.integers(-5, 5)),
)
def test_auroc_is_invariant_under_monotone_maps(known: Array, unknown: Array) -> None:
    assert metrics.auroc(np.exp(known), np.exp(unknown)) == metrics.auroc(known.astype(float), unknown)


@pytest.mark.parametrize("figure", [metrics.auroc, metrics.fpr_at_95_tpr, metrics.roc_curve])
@pytest.mark.parametrize(("known", "unknown"), [([], [1.0]), ([1.0], []), ([], [])])
def test_one_sided_figures_are_refused(
    figure: Callable[..., Any], known: list[float], unknown: list[float]
) -> None:
    with pytest.raises(DataError, match="Expected both sides"):
        figure(np.array(known), np.array(unknown))


def test_scores_that_are_nan_are_refused() -> None:
    with pytest.raises(DataError, match="NaN"):
        metrics.auroc(np.array([0.0, np.nan]), np.array([1.0]))


def test_fpr_is_counted_where_nineteen_of_twenty_unknowns_are_found() -> None:
    unknown = np.arange(20.0)  # 95% of 20 is 19: the threshold is the 19th largest, 1.0
    known = np.array([0.5, 0.9, 1.0, 7.0])
    assert metrics.fpr_at_95_tpr(known, unknown) == 0.5


def test_short_roc_curve_agrees_with_scikit_learn_point_by_point() -> None:
    rng = np.random.default_rng(3)
    known, unknown = rng.integers(0, 9, 40).astype(float), rng.integers(3, 12, 30).astype(float)
    false_rate, true_rate = metrics.roc_curve(known, unknown)
    truth = np.repeat([0, 1], [40, 30])
    expected = oracle.roc_curve(truth, np.concatenate([known, unknown]), drop_intermediate=False)
    np.testing.assert_allclose(false_rate, expected[0])
    np.testing.assert_allclose(true_rate, expected[1])


def test_long_roc_curve_is_thinned_and_keeps_its_ends_and_area() -> None:
    rng = np.random.default_rng(4)
    known, unknown = rng.normal(size=900), rng.normal(1.0, 1.0, size=700)
    false_rate, true_rate = metrics.roc_curve(known, unknown)
    assert len(false_rate) <= 201
    assert (false_rate[0], true_rate[0], false_rate[-1], true_rate[-1]) == (0.0, 0.0, 1.0, 1.0)
    assert (np.diff(false_rate) >= 0).all()
    assert (np.diff(true_rate) >= 0).all()
    assert oracle.auc(false_rate, true_rate) == pytest.approx(metrics.auroc(known, unknown), abs=0.005)


# --- intervals


def test_whole_groups_are_drawn_and_each_resample_draws_as_many_as_there_are() -> None:
    groups = np.array(["a", "a", "b", "c", "c", "c"])
    settings = BootstrapSettings(resamples=500)
    counts = resampling.resample_groups(groups, settings, np.random.default_rng(0)).image_counts()
    assert counts.shape == (500, 6)
    assert (counts[:, 0] == counts[:, 1]).all()
    assert (counts[:, 3] == counts[:, 5]).all()
    assert (counts[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert counts[:, 2].mean() == pytest.approx(1.0, abs=0.15)


def test_resamples_are_the_same_for_the_same_seed() -> None:
    groups = np.arange(50)
    first, second = (resampling.resample_groups(groups, SETTINGS, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.image_counts(), second.image_counts())


def test_sums_of_a_resample_count_each_image_as_often_as_its_group() -> None:
    groups = np.array([3, 3, 7, 9, 9])
    values = np.arange(10.0).reshape(5, 2)
    drawn = resampling.resample_groups(groups, SETTINGS, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.sums(values), drawn.image_counts() @ values)
    np.testing.assert_allclose(drawn.sums(values[:, 0]), drawn.image_counts() @ values[:, 0])


def test_resampled_macro_f1_is_what_scikit_learn_gives_for_the_drawn_images() -> None:
    labels, predictions, _ = make_classification(60, 3)
    drawn = resampling.resample_groups(np.arange(60) // 2, SETTINGS, np.random.default_rng(0))
    samples = metrics.class_counts(drawn.sums(metrics.class_indicators(labels, predictions, 3))).macro_f1()
    counts = drawn.image_counts()
    for i in range(5):
        repeated = np.repeat(np.arange(60), counts[i])
        expected = oracle.f1_score(labels[repeated], predictions[repeated], average="macro")
        assert samples[i] == pytest.approx(expected)


def test_interval_of_a_mean_has_the_width_that_theory_gives() -> None:
    values = np.random.default_rng(6).random(400) < 0.8
    settings = BootstrapSettings(resamples=2000)
    interval = resampling.resample_groups(np.arange(400), settings, np.random.default_rng(0)).mean(values)
    half_width = 1.96 * np.sqrt(values.mean() * (1 - values.mean()) / 400)
    assert interval.value == values.mean()
    assert interval.high - interval.value == pytest.approx(half_width, rel=0.12)
    assert interval.value - interval.low == pytest.approx(half_width, rel=0.12)


def test_interval_widens_when_groups_answer_alike() -> None:
    values = np.repeat(np.random.default_rng(7).random(50) < 0.7, 6)
    alone = resampling.resample_groups(np.arange(300), SETTINGS, np.random.default_rng(0)).mean(values)
    grouped = resampling.resample_groups(np.arange(300) // 6, SETTINGS, np.random.default_rng(0)).mean(values)
    assert grouped.high - grouped.low > 1.8 * (alone.high - alone.low)


def test_one_group_gives_no_interval_instead_of_certainty() -> None:
    interval = resampling.resample_groups(["a"] * 5, SETTINGS, np.random.default_rng(0)).mean(np.ones(5))
    assert interval.value == 1.0
    assert np.isnan(interval.low)
    assert np.isnan(interval.high)


@pytest.mark.parametrize(
    ("hits", "num", "num_groups", "low", "high"),
    [
        (60, 60, 60, 0.940, 1.0),
        (60, 60, 30, 0.884, 1.0),
        (0, 60, 60, 0.0, 0.060),
        (30, 60, 60, 0.368, 0.632),
    ],
)
def test_a_share_has_the_exact_interval_of_its_groups(
    hits: int, num: int, num_groups: int, low: float, high: float
) -> None:
    groups = np.arange(num) % num_groups
    interval = resampling.resample_groups(groups, SETTINGS, np.random.default_rng(0)).share(
        np.arange(num) < hits
    )
    assert interval.value == hits / num
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.001)


def test_a_share_in_groups_that_answer_alike_counts_the_groups() -> None:
    groups = np.arange(60) // 6
    alike = resampling.share_interval(groups < 5, groups, 0.95)
    assert (alike.low, alike.high) == pytest.approx((0.187, 0.813), abs=0.002)
    assert np.isnan(resampling.share_interval(np.ones(5), np.zeros(5), 0.95).low)


def test_mean_of_nothing_is_nan() -> None:
    interval = resampling.resample_groups([], SETTINGS, np.random.default_rng(0)).mean(np.array([]))
    assert np.isnan(interval.value)


def test_blocks_of_resamples_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = np.arange(30) // 2
    values = np.random.default_rng(8).random((30, 4))
    whole = resampling.resample_groups(groups, SETTINGS, np.random.default_rng(0))
    expected = whole.sums(values)
    monkeypatch.setattr(resampling, "MAX_CELLS", 100)
    np.testing.assert_allclose(whole.sums(values), expected)
    drawn = resampling.resample_groups(groups, SETTINGS, np.random.default_rng(0))
    assert (drawn.image_counts()[:, ::2].sum(axis=1) == 15).all()


def test_resampled_auroc_is_the_auroc_of_the_drawn_images() -> None:
    rng = np.random.default_rng(9)
    known, unknown = rng.integers(0, 6, 25).astype(float), rng.integers(2, 8, 18).astype(float)
    strata = np.repeat([0, 1], 9)
    drawn_known = resampling.resample_groups(np.arange(25) // 2, SETTINGS, rng)
    drawn_unknown = resampling.resample_groups(np.arange(18) // 3, SETTINGS, rng, strata)
    samples = metrics.auroc_samples(known, drawn_known, unknown, drawn_unknown, strata)
    assert samples.shape == (200, 3)
    for i in range(5):
        some_known = np.repeat(known, drawn_known.image_counts()[i])
        for column, members in enumerate([strata == 0, strata == 1, strata >= 0]):
            some_unknown = np.repeat(unknown[members], drawn_unknown.image_counts()[i][members])
            assert samples[i, column] == pytest.approx(metrics.auroc(some_known, some_unknown))


def test_strata_keep_their_number_of_groups_in_every_resample() -> None:
    groups, strata = ["a", "a", "b", "c", "a"], ["x", "x", "x", "y", "y"]
    drawn = resampling.resample_groups(groups, SETTINGS, np.random.default_rng(0), strata)
    counts = drawn.image_counts()
    assert drawn.num_groups == 4
    assert (counts[:, 0] == counts[:, 1]).all()
    assert (counts[:, 1] + counts[:, 2] == 2).all()
    assert (counts[:, 3] + counts[:, 4] == 2).all()
    assert (counts[:, 0] != counts[:, 4]).any()


# --- groups that answer alike


def test_design_effect_of_images_that_stand_alone_is_one() -> None:
    assert resampling.design_effect([0, 1, 0, 1], [1, 2, 3, 4]) == 1.0


def test_design_effect_of_groups_that_always_agree_is_their_size() -> None:
    assert resampling.design_effect([0, 0, 0, 1, 1, 1], [1, 1, 1, 2, 2, 2]) == pytest.approx(3.0)


def test_design_effect_by_hand() -> None:
    # groups (1, 0), (0, 0), (1, 1): means .5, 0, 1; MSB = 2 * .5 / 2 = .5, MSW = .5 / 3
    correlation = (0.5 - 1 / 6) / (0.5 + 1 / 6)
    assert resampling.intraclass_correlation([1, 0, 0, 0, 1, 1], [0, 0, 1, 1, 2, 2]) == pytest.approx(
        correlation
    )
    assert resampling.design_effect([1, 0, 0, 0, 1, 1], [0, 0, 1, 1, 2, 2]) == pytest.approx(1 + correlation)


def test_design_effect_takes_the_worst_where_nothing_can_be_estimated() -> None:
    assert resampling.design_effect([0, 0, 0, 0], ["a", "a", "b", "b"]) == 2.0
    assert resampling.design_effect([0, 1, 0], ["a", "a", "a"]) == 3.0


def test_design_effect_uses_the_fallback_only_where_nothing_can_be_estimated() -> None:
    assert resampling.design_effect([0, 0, 0, 0], ["a", "a", "b", "b"], fallback=0.25) == 1.25
    assert resampling.design_effect([0, 0, 1, 1], ["a", "a", "b", "b"], fallback=0.25) == 2.0

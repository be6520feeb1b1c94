"""Other shares of the classes alone are a label mix, even where the embedding moved; moved images are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import binom

from tests.vision.drift.test_verdict import SETTINGS, make_window, reference_of, take
from vision.base.record import FloatArray, IntArray
from vision.base.softmax import softmax
from vision.data.quality import QUALITY_COLUMNS
from vision.drift import questions as drift
from vision.drift.permutation import draw_assignments, measure_mmd
from vision.drift.questions import NAMING_LEVEL, SHARE_ROUNDS, ask_embedding_at_shares
from vision.drift.records import DriftCause, DriftReport
from vision.drift.reweighting import (
    LEAST_EFFECTIVE,
    LEAST_OF_CLASS,
    _measure,
    measure_reweighted,
    reweight,
)
from vision.drift.verdict import judge_drift
from vision.drift.window import Pool, Window, find_groups, pool_sides

NUM_CLASSES, WIDTH = 8, 24
CENTRES = 3.0 * np.eye(NUM_CLASSES, WIDTH)
SPREAD = np.hypot(1.0, 0.4)
"""Of images around the place of their class: of groups, and of the frames of one."""

PLAIN = np.full(NUM_CLASSES, 1 / NUM_CLASSES)
MISSING = np.array([0.2] * 5 + [0.0] * 3)
FEW = np.array([1 / 3] * 3 + [0.0] * 5)
ALONE = np.eye(NUM_CLASSES)[0]
NAMES = tuple("abcdefgh")


class Fish:
    """Images of groups of some frames; a class is a place in the embedding, told in some 90% of images."""

    def __init__(
        self, seed: int, num_groups: int, most: int, shares: FloatArray = PLAIN, move: float = 0.0
    ) -> None:
        rng = np.random.default_rng(seed)
        self.groups: IntArray = np.repeat(np.arange(num_groups), rng.integers(1, most + 1, num_groups))
        num = len(self.groups)
        self.labels = rng.choice(NUM_CLASSES, num_groups, p=shares)[self.groups]
        individuals = rng.normal(size=(num_groups, WIDTH))[self.groups]
        self.embeddings = CENTRES[self.labels] + individuals + 0.4 * rng.normal(size=(num, WIDTH))
        self.logits = (self.embeddings @ CENTRES.T / SPREAD**2).astype(np.float32)
        self.embeddings[:, NUM_CLASSES:] += move
        self.quality = rng.normal(size=(num_groups, len(QUALITY_COLUMNS)))[self.groups].astype(np.float32)
        self.called_unknown = np.zeros(num, dtype=bool)

    def pool_with(self, earlier: Fish) -> Pool:
        window = make_window(self)
        rng = np.random.default_rng(0)
        return pool_sides(reference_of(earlier, NAMES), window, find_groups(window, 60.0), 2000, rng)


def make_pool(values: FloatArray, probs: FloatArray, groups: IntArray, num_reference_groups: int) -> Pool:
    return Pool(
        embeddings=values,
        quality=np.zeros((len(groups), 1)),
        probs=probs,
        called_unknown=np.zeros(len(groups), dtype=bool),
        groups=groups,
        num_reference_groups=num_reference_groups,
    )


REFERENCE = Fish(0, 160, 2)


def judge(window: Window, reference: Fish = REFERENCE) -> DriftReport:
    return judge_drift(reference_of(reference, NAMES), window, SETTINGS, 5)


def fired(report: DriftReport) -> set[str]:
    return {test.name for test in report.tests if test.fired}


# --- the verdict ----------------------------------------------------------------------------------------


def test_missing_classes_are_a_label_mix_though_the_embedding_moved() -> None:
    sample = Fish(1, 100, 4, MISSING)
    report = judge(make_window(sample))
    assert report.cause is DriftCause.LABEL_MIX
    assert fired(report) == {"embedding", "label_mix"}
    assert report.tests[-1].name == "embedding_at_shares"
    assert "no proof: a small change of the images may hide" in report.reasons[1]
    assert "of the reference carry these shares" in report.tests[-1].evidence
    assert sum(share.window.value for share in report.class_mix[5:]) < 0.1
    assert report.estimated_accuracy is not None
    is_right = sample.logits.argmax(axis=1) == sample.labels
    assert report.estimated_accuracy.value == pytest.approx(is_right.mean(), abs=0.05)


def test_missing_classes_and_moved_images_are_covariate_drift_and_the_reasons_say_that_both_changed() -> None:
    report = judge(make_window(Fish(1, 100, 4, MISSING, move=1.0)))
    assert report.cause is DriftCause.COVARIATE
    assert fired(report) == {"embedding", "label_mix", "embedding_at_shares"}
    assert "that alone does not explain it" in report.reasons[1]
    assert report.estimated_accuracy is None


def test_moved_images_of_the_same_mix_are_covariate_drift_and_the_shares_are_not_asked() -> None:
    report = judge(make_window(Fish(1, 100, 4, move=1.0)))
    assert report.cause is DriftCause.COVARIATE
    assert fired(report) == {"embedding"}
    assert "embedding_at_shares" not in [test.name for test in report.tests]
    assert "shares" not in report.reasons[1]


def test_where_too_little_of_the_reference_has_the_windows_shares_the_mix_is_to_be_looked_at_first() -> None:
    window = Fish(1, 100, 4, ALONE)
    assert reweight(window.pool_with(REFERENCE)).num_effective < LEAST_EFFECTIVE
    report = judge(make_window(window))
    assert report.cause is DriftCause.COVARIATE
    assert fired(report) == {"embedding", "label_mix"}
    assert "embedding_at_shares" not in [test.name for test in report.tests]
    assert "look first whether the mix explains it" in report.reasons[1]


def test_a_frequent_class_that_the_reference_hardly_has_is_not_taken_for_the_mix() -> None:
    rare = Fish(0, 162, 2, np.array([0.02, *[0.98 / (len(PLAIN) - 1)] * (len(PLAIN) - 1)]))
    window = Fish(1, 100, 4, np.array([0.2, *[0.8 / (len(PLAIN) - 1)] * (len(PLAIN) - 1)]))
    pool = window.pool_with(rare)
    found = reweight(pool)
    assert found.num_effective > LEAST_EFFECTIVE
    assert found.num_of_class[0] < LEAST_OF_CLASS < found.num_of_class[1:].min()
    assert not found.carried
    assert ask_embedding_at_shares(pool, np.random.default_rng(0)) is None


def test_a_window_of_a_class_that_the_reference_lacks_is_not_asked() -> None:
    pool = Fish(1, 50, 1).pool_with(Fish(2, 120, 1))
    probs = np.zeros_like(pool.probs)
    probs[pool.in_window, 0] = probs[~pool.in_window, 1] = 1.0
    lacking = replace(pool, probs=probs)
    assert not reweight(lacking).carried
    assert ask_embedding_at_shares(lacking, np.random.default_rng(0)) is None


@pytest.mark.parametrize(("num_larger", "cause"), [(8, DriftCause.COVARIATE), (10, DriftCause.LABEL_MIX)])
def test_the_name_hangs_on_one_chance_in_twenty(
    num_larger: int, cause: DriftCause, monkeypatch: pytest.MonkeyPatch
) -> None:
    statistics = np.concatenate([[0.5], np.ones(num_larger), np.zeros(SHARE_ROUNDS - num_larger)])
    monkeypatch.setattr(drift, "measure_reweighted", lambda *_: statistics)
    assert judge(make_window(Fish(1, 100, 4, MISSING))).cause is cause


def test_it_is_not_asked_where_quality_or_the_unknown_explain_more() -> None:
    sample = Fish(1, 100, 4, FEW)
    sample.quality[:, 0] += 3.0
    capture = judge(make_window(sample))
    assert capture.cause is DriftCause.CAPTURE
    assert {"embedding", "label_mix"} < fired(capture)
    unknown = make_window(Fish(1, 100, 4, FEW))
    unknown.called_unknown[:] = np.arange(len(unknown.times)) % 2 == 0
    report = judge(unknown)
    assert {"embedding", "label_mix", "unknown_rate"} <= fired(report)
    for each in (capture, report):
        assert "embedding_at_shares" not in [test.name for test in each.tests]


def test_the_order_of_the_answers_does_not_matter_where_the_shares_are_asked() -> None:
    window = make_window(Fish(1, 100, 4, MISSING))
    report = judge(window)
    assert report.tests[-1].name == "embedding_at_shares"
    assert judge(take(window, np.random.default_rng(3).permutation(len(window.times)))) == report


@pytest.mark.parametrize("shares", [PLAIN, MISSING], ids=["plain", "missing"])
def test_windows_whose_images_did_not_move_fire_no_more_often_than_the_level(shares: FloatArray) -> None:
    rounds, alarms = 25, 0
    for i in range(rounds):
        pool = Fish(2000 + i, 50, 4, shares).pool_with(Fish(1000 + i, 200, 2))
        test = ask_embedding_at_shares(pool, np.random.default_rng(i))
        assert test is not None
        assert test.fired == (test.p_value <= NAMING_LEVEL)
        alarms += test.fired
    assert alarms <= binom.ppf(0.999, rounds, NAMING_LEVEL)


@pytest.mark.parametrize(("earlier", "later"), [((60, 4), (120, 1)), ((120, 1), (30, 5))])
def test_wide_embeddings_of_groups_of_another_length_are_no_move(
    earlier: tuple[int, int], later: tuple[int, int]
) -> None:
    rng = np.random.default_rng(11)
    sizes = np.concatenate([np.full(*earlier), np.full(*later)])
    groups = np.repeat(np.arange(len(sizes)), sizes)
    individuals = rng.normal(size=(len(sizes), 400))[groups]
    values = 0.9 * individuals + 0.45 * rng.normal(size=individuals.shape)
    test = ask_embedding_at_shares(make_pool(values, np.ones((len(groups), 1)), groups, earlier[0]), rng)
    assert test is not None
    assert not test.fired


# --- its parts ------------------------------------------------------------------------------------------


def test_groups_weigh_as_their_class_does_in_the_window() -> None:
    """Six groups of the reference, two of each class; in the window the third class is missing."""
    labels = np.array([0, 0, 1, 1, 2, 2, 0, 0, 0, 1])
    found = reweight(make_pool(np.zeros((10, 1)), np.eye(3)[labels], np.arange(10), 6))
    assert_allclose(found.shares, [0.75, 0.25, 0.0], atol=1e-6)
    assert_allclose(found.weights, [0.375, 0.375, 0.125, 0.125, 0.0, 0.0], atol=1e-6)
    assert found.num_effective == pytest.approx(1 / (2 * 0.375**2 + 2 * 0.125**2), rel=1e-4)


def test_a_group_of_many_frames_counts_once_for_the_shares() -> None:
    labels = np.array([0, 1, 0, 1, 1, 1, 1])
    pool = make_pool(np.zeros((7, 1)), np.eye(2)[labels], np.array([0, 1, 2, 3, 3, 3, 3]), 2)
    assert_allclose(reweight(pool).shares, [0.5, 0.5], atol=1e-6)


def test_the_shares_are_estimated_anew_in_each_bootstrap() -> None:
    """Where an image is nothing but its class, no window is far from the reference at its own shares."""
    labels = np.random.default_rng(2).permutation(np.arange(90) % 3)
    pool = make_pool(np.eye(3)[labels], np.eye(3)[labels], np.arange(90), 60)
    statistics = measure_reweighted(pool, reweight(pool), pool.embeddings, 99, np.random.default_rng(3))
    assert statistics.max() < 1e-5


def test_bootstraps_draw_windows_at_the_windows_shares() -> None:
    """What class 2 looks like, which the window lacks, is of no account."""
    rng = np.random.default_rng(6)
    labels = np.concatenate([np.arange(60) % 3, np.arange(30) % 2])
    values = 4.0 * np.eye(3, 5)[labels] + rng.normal(size=(90, 5))
    groups = np.arange(90)
    pool = make_pool(values, np.eye(3)[labels], groups, 60)
    others = values.copy()
    others[np.flatnonzero(labels == 2)] = values[np.flatnonzero(labels == 2)[::-1]]
    one, two = (
        measure_reweighted(pool, reweight(pool), each, 49, np.random.default_rng(3))
        for each in (values, others)
    )
    assert_allclose(one, two, atol=1e-5)
    assert np.ptp(one[1:]) > 0.01


def test_the_discrepancy_is_that_of_every_pair_of_draws() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(size=(6, 6))
    kernel = values @ values.T
    later, earlier = np.array([[2, 0, 1, 1, 0, 0]]), np.array([[1, 2, 0, 1, 1, 1]])
    weights = rng.random((1, 6))
    xs, ys = (np.repeat(np.arange(6), counts[0]) for counts in (later, earlier))
    own = weights[0, ys] / weights[0, ys].sum()

    def add(rows: IntArray, columns: IntArray, weight: FloatArray, apart: bool) -> float:
        weight = weight * (1.0 - np.eye(len(rows))) if apart else weight
        return float((weight * kernel[np.ix_(rows, columns)]).sum() / weight.sum())

    expected = (
        add(xs, xs, np.ones((4, 4)), True)
        + add(ys, ys, np.outer(own, own), True)
        - 2.0 * add(xs, ys, np.outer(np.ones(4), own), False)
    )
    found = _measure(kernel, later.astype(float), earlier.astype(float), weights)
    assert found[0] == pytest.approx(expected, rel=1e-5)


def test_at_the_references_own_shares_the_discrepancy_is_the_plain_one() -> None:
    pool = Fish(1, 40, 1).pool_with(Fish(0, 60, 1))
    found = replace(reweight(pool), weights=np.full(60, 1 / 60))
    statistics = measure_reweighted(pool, found, pool.embeddings, 9, np.random.default_rng(7))
    draws = draw_assignments(60, 40, 9, np.random.default_rng(8))
    plain = measure_mmd(pool.embeddings, pool.groups, draws, np.random.default_rng(7))
    assert len(statistics) == 10
    assert statistics[0] == pytest.approx(plain[0], abs=1e-5)


def test_the_classes_are_confused_as_much_as_is_said() -> None:
    sample = Fish(3, 2000, 1)
    probs = softmax(sample.logits.astype(float), 1.0)
    is_right = probs.argmax(axis=1) == sample.labels
    assert 0.75 < is_right.mean() < 0.95
    assert probs.max(axis=1).mean() == pytest.approx(is_right.mean(), abs=0.02)

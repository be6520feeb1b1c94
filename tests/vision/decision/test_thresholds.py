"""The rule's thresholds, each with the images and the temperature that it is about."""

from __future__ import annotations

import numpy as np
import pytest

from tests.vision.toy import make_held_out, make_rule
from vision.base.record import FloatArray, IntArray
from vision.base.resampling import intraclass_correlation
from vision.config.decision import ReviewSettings, UnknownSettings
from vision.decision.held_out import HeldOut
from vision.decision.predictor import decide_scored
from vision.decision.records import DecisionRule, Temperature
from vision.decision.scores import OodScore
from vision.decision.selective import fit_review
from vision.decision.thresholds import fit_rule

NAMES = ("bream", "cod")
UNKNOWNS = UnknownSettings(score="msp", alpha=0.1, delta=0.05)
REVIEW = ReviewSettings(target_risk=0.1, delta=0.1)
RISING = np.arange(1, 101) / 20
"""Gaps between the two logits of a hundred images: confidence 1 / (1 + exp(-gap)), maximum softmax score
1 / (1 + exp(gap))."""


def make_known(gaps: FloatArray, labels: IntArray | None = None, images_per_group: int = 1) -> HeldOut:
    """Images that are all called bream (label 0), the first least surely; bream unless told otherwise."""
    truth = np.zeros(len(gaps), dtype=np.int64) if labels is None else labels
    groups = [f"group{i // images_per_group}" for i in range(len(gaps))]
    return make_held_out(np.column_stack([gaps, np.zeros(len(gaps))]), truth, groups)


def fit(known: HeldOut, temperature: float = 1.0) -> DecisionRule:
    return fit_rule(known, NAMES, temperature_of(temperature), UNKNOWNS, REVIEW)


def temperature_of(value: float) -> Temperature:
    return make_rule(NAMES, temperature=value).temperature


def sigmoid(gap: float) -> float:
    return float(1 / (1 + np.exp(-gap)))


def test_of_a_hundred_single_images_four_may_be_called_unknown() -> None:
    """P(Bin(100, 0.1) <= 4) = 0.024 and P(<= 5) = 0.058: the fifth largest score is the threshold."""
    unknown = fit(make_known(RISING)).unknown
    assert unknown.attainable
    assert unknown.num_allowed == 4
    assert unknown.value == pytest.approx(1 - sigmoid(RISING[4]))


def test_two_copies_in_a_group_count_as_one_image() -> None:
    """Fifty effective images: P(Bin(50, 0.1) <= 1) = 0.034, so one group, that is two images."""
    unknown = fit(make_known(np.repeat(RISING[:50], 2), images_per_group=2)).unknown
    assert unknown.effective_size == 50
    assert unknown.num_allowed == 2
    assert unknown.value == pytest.approx(1 - sigmoid(RISING[1]))


def test_review_is_fitted_on_what_the_unknown_threshold_leaves() -> None:
    """The four least sure images are wrong, but they are called unknown: nothing wrong can be accepted."""
    labels = np.zeros(100, dtype=np.int64)
    labels[:4] = 1
    review = fit(make_known(RISING, labels)).review
    assert review.attainable
    assert review.risk == 0.0
    assert review.coverage == pytest.approx(0.96)
    assert review.value == pytest.approx(sigmoid(RISING[4]))


def test_confidence_is_read_after_the_temperature_and_the_score_before() -> None:
    rule = fit(make_known(RISING), temperature=2.0)
    assert rule.review.value == pytest.approx(sigmoid(RISING[4] / 2))
    assert rule.unknown.value == pytest.approx(1 - sigmoid(RISING[4]))
    assert rule.temperature == temperature_of(2.0)


def test_answers_that_are_all_wrong_leave_nothing_to_accept() -> None:
    rule = fit(make_known(RISING, np.ones(100, dtype=np.int64)))
    assert not rule.review.attainable
    assert rule.review.coverage == 0.0
    assert rule.unknown.value == fit(make_known(RISING)).unknown.value  # says nothing of right and wrong


def test_the_rule_answers_its_own_calibration_images_as_its_records_say() -> None:
    labels = np.zeros(100, dtype=np.int64)
    labels[4:34:2] = 1  # fifteen wrong among the less sure
    known = make_known(RISING, labels)
    rule = fit(known)
    answers = decide_scored(rule, known.logits, known.scores[OodScore.MSP])
    accepted = answers.accepted
    assert rule.class_names == NAMES
    assert answers.called_unknown.sum() == rule.unknown.num_allowed == 4
    assert 0 < accepted.sum() < 96
    assert accepted.mean() == pytest.approx(rule.review.coverage)
    assert np.mean(labels[accepted] == 1) == pytest.approx(rule.review.risk)


def test_too_few_images_make_a_rule_that_promises_nothing() -> None:
    rule = fit(make_known(RISING[:5]))
    assert not rule.unknown.attainable
    assert not rule.review.attainable


def test_errors_that_cluster_below_the_threshold_count_above_it_too() -> None:
    """Two stray errors among the accepted look independent; sixty triples that are wholly wrong do not."""
    confidence = np.linspace(0.99, 0.6, 600)
    wrong = np.zeros(600, dtype=bool)
    wrong[420:] = True
    wrong[[30, 90]] = True
    triples = np.repeat(np.arange(200), 3)
    review = fit_review(confidence, ~wrong, np.zeros(600, dtype=bool), triples, REVIEW)
    assert review.coverage == pytest.approx(0.7)
    assert intraclass_correlation(wrong[:420], triples[:420]) < 0
    assert review.design_effect == pytest.approx(1 + 2 * intraclass_correlation(wrong, triples))
    assert review.design_effect > 2.9

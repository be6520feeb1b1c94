"""Prediction sets hold the true class as often as promised, in groups too; by simulation and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.vision.toy import make_rule
from vision.base.record import FloatArray, IntArray
from vision.base.softmax import softmax
from vision.config.decision import UnknownSettings
from vision.decision.prediction_sets import find_sets, fit_set_threshold
from vision.decision.predictor import decide_scored, make_predictions
from vision.decision.records import DecisionRule

NAMES = ("bream", "cod", "perch", "roach")
SETTINGS = UnknownSettings(score="msp", alpha=0.1, delta=0.05)


def draw(rng: np.random.Generator, num_groups: int, size: int) -> tuple[FloatArray, IntArray, np.ndarray]:
    """Probabilities, classes and groups; images of one group are easy or hard together."""
    labels = np.repeat(rng.integers(0, 4, num_groups), size)
    ease = np.repeat(rng.normal(2.0, 1.5, num_groups), size)
    logits = rng.normal(0.0, 0.7, (num_groups * size, 4))
    logits[np.arange(len(labels)), labels] += ease
    return softmax(logits, 1.0), labels, np.repeat(np.arange(num_groups).astype(str), size)


def rule_of(probs: FloatArray, labels: IntArray, groups: np.ndarray) -> DecisionRule:
    threshold = fit_set_threshold(probs, labels, groups, SETTINGS)
    return make_rule(NAMES).model_copy(update={"prediction_set": threshold})


@pytest.mark.parametrize(("num_groups", "size"), [(150, 1), (150, 4)])
def test_the_true_class_is_in_the_set_as_often_as_promised_but_for_delta(num_groups: int, size: int) -> None:
    rng = np.random.default_rng(3)
    probs, labels, _ = draw(rng, 50_000, 1)
    missed, sizes = [], []
    for _ in range(200):
        rule = rule_of(*draw(rng, num_groups, size))
        sets = find_sets(rule, probs)
        assert sets is not None
        missed.append(1.0 - sets[np.arange(len(labels)), labels].mean())
        sizes.append(sets.sum(axis=1).mean())
    broken = np.mean(np.array(missed) > SETTINGS.alpha)
    assert broken <= 0.09  # delta is 0.05; 200 draws have a standard error of 0.015
    assert np.mean(missed) > 0.03  # not by telling all classes
    assert 1.0 <= np.mean(sizes) < 2.5


def test_a_set_holds_the_likely_classes_in_order_and_never_nothing() -> None:
    threshold = make_rule(NAMES).unknown.model_copy(update={"value": 0.65, "attainable": True})
    rule = make_rule(NAMES, unknown_above=0.7).model_copy(update={"prediction_set": threshold})
    logits = np.log(
        [[0.4, 0.1, 0.1, 0.4], [0.1, 0.3, 0.35, 0.25], [0.28, 0.27, 0.24, 0.21], [0.05, 0.9, 0.03, 0.02]]
    )
    decisions = decide_scored(rule, logits, np.array([0.1, 0.1, 0.1, 0.9]))
    sets = [each.possible for each in make_predictions(rule, decisions, top_k=1)]
    assert sets == [("bream", "roach"), ("perch",), ("bream",), None]  # the last is unknown
    at_the_threshold = find_sets(
        rule.model_copy(update={"prediction_set": threshold.model_copy(update={"value": 0.75})}),
        np.array([[0.5, 0.25, 0.125, 0.125]]),
    )
    np.testing.assert_array_equal(at_the_threshold, [[True, True, False, False]])


def test_few_groups_promise_no_set() -> None:
    probs, labels, groups = draw(np.random.default_rng(0), 10, 1)
    rule = rule_of(probs, labels, groups)
    assert find_sets(rule, probs) is None
    assert make_predictions(rule, decide_scored(rule, np.log(probs), np.zeros(10)))[0].possible is None
    older = make_rule(NAMES)
    assert find_sets(older, probs) is None

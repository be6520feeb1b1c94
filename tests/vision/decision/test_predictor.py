"""Unknown over review over accept, exact at its thresholds, promising no more than it can keep."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from tests.vision import toy
from vision.base.errors import TaxonError
from vision.base.outputs import Forward
from vision.decision.formulas import measure_energy
from vision.decision.predictor import Decisions, Predictor, decide, make_predictions
from vision.decision.records import (
    Decision,
    DecisionRule,
    OodDetector,
)
from vision.decision.selective import UNATTAINABLE

NAMES = ("perch", "pike", "roach")


def make_detector(k: int = 3, score: str = "energy") -> OodDetector:
    """A detector that scores by the logits alone."""
    return OodDetector(
        score_name=score,
        arrays={
            "fdbd_inverse_distances": 1.0 - np.eye(k),
            "embedding_mean": np.zeros(2),
        },
    )


def make_rule(
    *,
    unknown: float = -2.0,
    review: float = 0.8,
    temperature: float = 1.0,
    names: tuple[str, ...] = NAMES,
    attainable: tuple[bool, bool] = (True, True),
    calibration: tuple[float, ...] = (-9.0, -5.0, -4.0, -3.0, -2.0),
) -> DecisionRule:
    rule = toy.make_rule(names, unknown_above=unknown, review_below=review, temperature=temperature)
    of_unknown = {
        "score_name": "energy",
        "attainable": attainable[0],
        "attainable_alpha": 0.45,
        "num_images": len(calibration),
        "calibration_scores": calibration,
    }
    of_review = {"attainable": attainable[1], "num_images": 5}
    return rule.model_copy(
        update={
            "unknown": rule.unknown.model_copy(update=of_unknown),
            "review": rule.review.model_copy(update=of_review),
        }
    )


def run(rule: DecisionRule, logits: np.ndarray) -> Decisions:
    n, k = logits.shape
    return decide(rule, make_detector(k), logits, np.zeros((n, 2)))


def logits_of(confidence: float, energy: float, num_classes: int = 3) -> np.ndarray:
    """One row: class 0 with this probability and this energy, the rest shared equally."""
    probs = np.array([confidence] + [(1 - confidence) / (num_classes - 1)] * (num_classes - 1))
    return np.asarray((np.log(probs) - energy)[None, :])


def test_known_looking_and_confident_is_accepted() -> None:
    decisions = run(make_rule(), logits_of(0.9, -3.0))
    assert decisions.decisions.tolist() == [Decision.ACCEPT]
    assert decisions.accepted.tolist() == [True]
    assert decisions.confidence == pytest.approx(0.9)
    assert decisions.scores == pytest.approx(-3.0)


def test_known_looking_and_doubtful_goes_to_a_person() -> None:
    assert run(make_rule(), logits_of(0.7, -3.0)).decisions.tolist() == [Decision.REVIEW]


@pytest.mark.parametrize("confidence", [0.7, 0.999])
def test_unlike_the_known_classes_is_unknown_however_confident(confidence: float) -> None:
    decisions = run(make_rule(), logits_of(confidence, -1.0))
    assert decisions.decisions.tolist() == [Decision.UNKNOWN]
    assert decisions.called_unknown.tolist() == [True]


def test_a_score_at_the_threshold_is_not_unknown_and_one_step_above_is() -> None:
    logits = logits_of(0.9, -3.0)
    score = float(measure_energy(logits)[0])
    assert run(make_rule(unknown=score), logits).decisions.tolist() == [Decision.ACCEPT]
    below = float(np.nextafter(score, -np.inf))
    assert run(make_rule(unknown=below), logits).decisions.tolist() == [Decision.UNKNOWN]


def test_a_confidence_at_the_review_value_is_accepted_and_one_step_below_is_not() -> None:
    logits = logits_of(0.9, -3.0)
    confidence = float(run(make_rule(), logits).confidence[0])
    assert run(make_rule(review=confidence), logits).decisions.tolist() == [Decision.ACCEPT]
    above = float(np.nextafter(confidence, np.inf))
    assert run(make_rule(review=above), logits).decisions.tolist() == [Decision.REVIEW]


def test_confidence_is_read_after_the_temperature() -> None:
    logits = np.array([[4.0, 0.0, 0.0]])
    hot = run(make_rule(temperature=4.0, unknown=0.0), logits)
    assert hot.confidence[0] == pytest.approx(math.e / (math.e + 2))
    assert hot.decisions.tolist() == [Decision.REVIEW]
    assert run(make_rule(unknown=0.0), logits).decisions.tolist() == [Decision.ACCEPT]


def test_class_order_is_that_of_the_rule() -> None:
    logits = np.array([[0.0, 6.0, 0.0], [0.0, 0.0, 6.0]])
    named = [p.class_name for p in make_predictions(make_rule(), run(make_rule(), logits))]
    assert named == ["pike", "roach"]
    swapped = make_rule(names=("perch", "roach", "pike"))
    assert [p.class_name for p in make_predictions(swapped, run(swapped, logits))] == ["roach", "pike"]


def test_top_k_is_sorted_and_named_in_the_rules_order() -> None:
    rule = make_rule()
    (prediction,) = make_predictions(rule, run(rule, np.log([[0.2, 0.7, 0.1]]) + 3), top_k=2)
    assert [name for name, _ in prediction.top_k] == ["pike", "perch"]
    assert [prob for _, prob in prediction.top_k] == pytest.approx([0.7, 0.2])
    assert prediction.class_name == "pike"
    assert prediction.confidence == pytest.approx(0.7)


def test_top_k_of_more_than_all_classes_is_all_of_them() -> None:
    rule = make_rule()
    (prediction,) = make_predictions(rule, run(rule, np.zeros((1, 3))), top_k=10)
    assert [name for name, _ in prediction.top_k] == list(NAMES)
    assert sum(prob for _, prob in prediction.top_k) == pytest.approx(1.0)


def test_an_unattainable_unknown_promise_sends_the_would_be_unknown_to_a_person() -> None:
    rule = make_rule(attainable=(False, True))
    decisions = run(rule, np.concatenate([logits_of(0.99, -1.0), logits_of(0.99, -3.0)]))
    assert decisions.decisions.tolist() == [Decision.REVIEW, Decision.ACCEPT]
    first, second = make_predictions(rule, decisions)
    assert first.reasons == (
        "unlike the known classes: score -1.00 above -2.00",
        "no threshold keeps the promise of at most 0.05 known images called unknown: 5 images in 4 groups "
        "can promise 0.45",
    )
    assert second.reasons[0].startswith("like the known classes")


def test_an_unattainable_review_promise_accepts_nothing() -> None:
    rule = make_rule(attainable=(True, False))
    decisions = run(rule, np.concatenate([logits_of(0.999, -3.0), logits_of(0.5, -1.0)]))
    assert decisions.decisions.tolist() == [Decision.REVIEW, Decision.UNKNOWN]
    assert make_predictions(rule, decisions)[0].reasons == (
        "no confidence keeps the promise of at most 0.02 wrong among the accepted: 5 images in 4 groups: "
        "too few, or too often wrong",
    )


def test_a_confidence_that_stands_for_no_promise_is_not_named_as_a_reason() -> None:
    rule = make_rule(review=UNATTAINABLE, attainable=(True, False))
    (prediction,) = make_predictions(rule, run(rule, logits_of(0.999, -3.0)))
    assert prediction.decision is Decision.REVIEW
    (reason,) = prediction.reasons
    assert reason.startswith("no confidence keeps the promise of at most 0.02 wrong among the accepted")


def test_reasons_say_in_words_what_was_compared() -> None:
    rule = make_rule()
    rows = np.concatenate([logits_of(0.9, -3.0), logits_of(0.61, -3.0), logits_of(0.9, -0.5)])
    reasons = [p.reasons for p in make_predictions(rule, run(rule, rows))]
    assert reasons == [
        ("like the known classes: score -3.00 within -2.00", "confidence 0.90 at least 0.80"),
        ("confidence 0.61 below 0.80",),
        ("unlike the known classes: score -0.50 above -2.00",),
    ]


def test_reasons_show_as_many_digits_as_tell_the_numbers_apart() -> None:
    rule = make_rule()
    (prediction,) = make_predictions(rule, run(rule, logits_of(0.79996, -3.0)))
    assert prediction.reasons == ("confidence 0.79996 below 0.80000",)


def test_the_answer_carries_score_threshold_and_p_value() -> None:
    rule = make_rule()
    (prediction,) = make_predictions(rule, run(rule, logits_of(0.9, -3.5)))
    assert prediction.unknown_score == pytest.approx(-3.5)
    assert prediction.unknown_threshold == -2.0
    assert prediction.p_value == pytest.approx((2 + 1) / (5 + 1))


logit_rows = st.lists(
    st.lists(st.floats(-20, 20, width=32), min_size=3, max_size=3), min_size=1, max_size=12
).map(lambda rows: np.array(rows, dtype=np.float32))


@given(logits=logit_rows, temperature=st.floats(1.0, 50.0))
def test_raising_the_temperature_never_changes_the_class_nor_raises_confidence(
    logits: np.ndarray, temperature: float
) -> None:
    plain, hot = run(make_rule(), logits), run(make_rule(temperature=temperature), logits)
    assert_array_equal(plain.classes, hot.classes)
    assert_array_equal(plain.scores, hot.scores)
    assert (hot.confidence <= plain.confidence + 1e-12).all()


@given(
    logits=logit_rows,
    unknown=st.floats(-20, 5),
    review=st.floats(0, 1),
    attainable=st.tuples(st.booleans(), st.booleans()),
)
def test_every_image_gets_exactly_one_decision_by_the_rule(
    logits: np.ndarray, unknown: float, review: float, attainable: tuple[bool, bool]
) -> None:
    rule = make_rule(unknown=unknown, review=review, attainable=attainable)
    decisions = run(rule, logits)
    assert (
        decisions.accepted.astype(int) + decisions.reviewed + decisions.called_unknown == np.ones(len(logits))
    ).all()
    accepted = decisions.accepted
    assert (decisions.scores[accepted] <= unknown).all()
    assert (decisions.confidence[accepted] >= review).all()
    assert_array_equal(decisions.called_unknown, (decisions.scores > unknown) & attainable[0])
    assert not (accepted.any() and not attainable[1])
    assert_allclose(decisions.probs.sum(axis=1), 1.0)
    for prediction, decision in zip(make_predictions(rule, decisions), decisions.decisions, strict=True):
        assert prediction.decision == decision
        assert prediction.reasons


@given(logits=logit_rows, shift=st.floats(0, 5))
def test_a_higher_unknown_threshold_never_calls_more_unknown(logits: np.ndarray, shift: float) -> None:
    low, high = run(make_rule(unknown=-6.0), logits), run(make_rule(unknown=-6.0 + shift), logits)
    assert not (high.called_unknown & ~low.called_unknown).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_never_answered(value: float) -> None:
    logits = np.array([[5.0, 0.0, 0.0], [5.0, value, 0.0]])
    with pytest.raises(TaxonError, match="Logits of 1 of 2 images are not finite"):
        run(make_rule(), logits)


def test_thresholds_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(TaxonError, match="nothing compares with NaN"):
        run(make_rule(review=float("nan")), np.zeros((1, 3)))


def test_logits_of_another_number_of_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="one column for each of perch, pike, roach"):
        run(make_rule(), np.zeros((2, 4)))


def test_a_threshold_of_another_score_is_refused() -> None:
    with pytest.raises(ValueError, match="threshold is of score 'energy', the detector gives 'msp'"):
        decide(make_rule(), make_detector(score="msp"), np.zeros((1, 3)), np.zeros((1, 2)))


def test_no_image_gets_no_answer() -> None:
    decisions = run(make_rule(), np.zeros((0, 3)))
    assert decisions.decisions.shape == (0,)
    assert make_predictions(make_rule(), decisions) == []


# --- Predictor ------------------------------------------------------------------------------------------


def make_predictor(rule: DecisionRule) -> Predictor:
    """Brightness of each channel as logits."""

    def forward(images: np.ndarray) -> Forward:
        logits = images.mean(axis=(1, 2)) / 10
        return Forward(logits=logits, embeddings=logits[:, :2])

    return Predictor(rule, make_detector(), forward, measure=lambda images: np.zeros((len(images), 1)))


def test_predictor_answers_what_the_rule_decides_on_the_networks_outputs() -> None:
    images = np.zeros((2, 8, 8, 3), dtype=np.uint8)
    images[0, :, :, 2] = 100
    predictor = make_predictor(make_rule())
    forward, quality, decisions = predictor.run(images)
    assert_array_equal(quality, np.zeros((len(images), 1)))
    assert_allclose(forward.logits, [[0, 0, 10], [0, 0, 0]])
    assert forward.cam is None
    assert decisions.decisions.tolist() == [Decision.ACCEPT, Decision.UNKNOWN]
    predictions = predictor.predict(images, top_k=1)
    assert [p.decision for p in predictions] == [Decision.ACCEPT, Decision.UNKNOWN]
    assert predictions[0].class_name == "roach"
    assert [len(p.top_k) for p in predictions] == [1, 1]


@pytest.mark.parametrize(
    "images", [np.zeros((8, 8, 3), np.uint8), np.zeros((1, 8, 8, 3)), np.zeros((1, 8, 8, 1), np.uint8)]
)
def test_images_of_another_form_are_refused(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 \(n, s, s, 3\)"):
        make_predictor(make_rule()).run(images)


def test_predictor_measures_quality_unless_told_otherwise() -> None:
    seen = []

    def forward(images: np.ndarray) -> Forward:
        seen.append(len(images))
        return Forward(logits=np.full((len(images), 3), 5.0), embeddings=np.zeros((len(images), 2)))

    detector = make_detector()
    predictor = Predictor(make_rule(), detector, forward)
    assert len(predictor.predict(np.full((3, 16, 16, 3), 77, dtype=np.uint8))) == 3
    assert seen == [3]

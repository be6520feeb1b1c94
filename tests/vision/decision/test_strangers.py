"""Strangers are told by the early statistics of known images alone, and are answered unknown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.vision.toy import MSP, make_outputs, make_rule
from vision.base.errors import TaxonError
from vision.base.record import FloatArray
from vision.config.decision import UnknownSettings
from vision.decision.fitting import fit_strangers
from vision.decision.predictor import STRANGER_WORDS, decide, decide_scored, make_predictions
from vision.decision.records import Decision, UnknownKind
from vision.decision.served import Served
from vision.decision.strangers import measure_strangers
from vision.decision.unknown_threshold import fit_stranger_threshold

WIDTH = 6
MIX = np.random.default_rng(9).normal(size=(WIDTH, WIDTH))


def known(num: int, seed: int = 0) -> FloatArray:
    early = np.random.default_rng(seed).normal(size=(num, WIDTH)) @ MIX * np.array([1, 1, 1, 1, 100, 0])
    return np.asarray(early, np.float32)


def test_known_images_score_about_one_and_a_rare_combination_far_more() -> None:
    arrays = fit_strangers(known(400))
    scores = measure_strangers(arrays, known(400, 1))
    assert 0.7 < scores.mean() < 1.1
    mirrored = known(50, 2) * np.array([1, -1, 1, -1, 1, 1], np.float32)
    assert measure_strangers(arrays, mirrored).mean() > 2 * scores.mean()
    dead = known(1)
    dead[0, -1] = 5.0  # a channel that no known image ever lit
    assert measure_strangers(arrays, dead)[0] > scores.max()


def test_early_statistics_of_another_width_or_not_finite_are_refused() -> None:
    arrays = fit_strangers(known(50))
    with pytest.raises(ValueError, match="not of one bundle"):
        measure_strangers(arrays, known(3)[:, :4])
    with pytest.raises(TaxonError, match="not finite"):
        measure_strangers(arrays, np.full((2, WIDTH), np.nan))


@pytest.mark.parametrize(("num", "attainable"), [(400, True), (30, False)])
def test_the_threshold_promises_where_it_can_and_else_is_the_largest_known_score(
    num: int, attainable: bool
) -> None:
    scores = np.random.default_rng(3).normal(size=num)
    groups = np.arange(num).astype(str)
    threshold = fit_stranger_threshold(scores, groups, UnknownSettings(stranger_alpha=0.02))
    assert threshold.attainable is attainable
    assert threshold.alpha == 0.02
    assert (scores > threshold.value).mean() <= 0.02
    if not attainable:
        assert threshold.value == scores.max()


def test_a_stranger_is_unknown_however_sure_the_network_is_and_says_why() -> None:
    arrays = {**MSP.arrays, **fit_strangers(known(200))}
    scores = measure_strangers(arrays, known(100, 1))
    threshold = fit_stranger_threshold(scores, np.arange(100).astype(str), UnknownSettings())
    rule = make_rule(("cod", "eel"), unknown_above=0.4).model_copy(update={"stranger": threshold})
    detector = replace(MSP, arrays=arrays)
    early = np.concatenate([known(1, 2) * 0, known(1, 2) + 1000, known(1, 2) * 0]).astype(np.float32)
    outputs = replace(make_outputs([[20.0, 0.0], [20.0, 0.0], [0.0, 0.0]]), early=early)
    decisions = Served(outputs, rule, detector).decide()
    assert decisions.decisions.tolist() == [Decision.ACCEPT, Decision.UNKNOWN, Decision.UNKNOWN]
    assert decisions.strangers.tolist() == [False, True, False]
    kinds = [(each.unknown_kind, each.reasons[0]) for each in make_predictions(rule, decisions)]
    assert [kind for kind, _ in kinds] == [None, UnknownKind.STRANGER, UnknownKind.LOOK_ALIKE]
    assert kinds[1][1] == STRANGER_WORDS
    with pytest.raises(ValueError, match="no early statistics"):
        decide(rule, detector, outputs.logits, outputs.embeddings)
    former = make_rule(("cod", "eel"), unknown_above=0.4)
    assert not Served(outputs, former, detector).decide().strangers.any()


def test_a_stranger_score_at_its_threshold_is_none_and_one_step_above_is() -> None:
    threshold = fit_stranger_threshold(np.arange(100.0), np.arange(100).astype(str), UnknownSettings())
    rule = make_rule(("cod", "eel"), unknown_above=0.4).model_copy(update={"stranger": threshold})
    at = np.array([threshold.value, np.nextafter(threshold.value, np.inf)])
    decisions = decide_scored(rule, np.array([[20.0, 0.0]] * 2), np.zeros(2), at)
    assert decisions.decisions.tolist() == [Decision.ACCEPT, Decision.UNKNOWN]

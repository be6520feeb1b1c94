"""Gains are paired, favour the several answers, and pay only beyond doubt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.vision.evaluation.test_evaluate import BOOTSTRAP, DETECTOR, KNOWN, RULE, UNKNOWN
from vision.base.record import FloatArray, Interval
from vision.base.softmax import softmax
from vision.decision.scores import score_unknown
from vision.evaluation.gains import Opinion, Shown, average_opinions, form_opinion, measure_gains
from vision.evaluation.metrics import auroc
from vision.evaluation.records import Gains

NEAR = {"near": UNKNOWN}
NOISE = np.random.default_rng(3).normal(size=KNOWN.outputs.logits.shape)


def opinion(name: str, logits: FloatArray, shift: float = 0.0) -> Opinion:
    near = np.linspace(0.5, 1.5, len(UNKNOWN.labels)) + shift
    return Opinion(name, softmax(logits), np.linspace(0, 1, len(logits)), {"near": near}, ms=2.0)


def measure(plain: Opinion, *several: Opinion) -> Gains:
    return measure_gains(plain, several, KNOWN, NEAR, BOOTSTRAP, 0)


def test_the_same_answers_gain_nothing_and_do_not_pay() -> None:
    plain = opinion("one", KNOWN.outputs.logits)
    row = measure(plain, average_opinions("two", [plain, plain])).rows[1]
    for gain in (row.accuracy_gain, row.nll_gain, row.unknown_gains["near"]):
        assert (gain.value, gain.low, gain.high) == (0.0, 0.0, 0.0)
    assert (row.num_passes, row.milliseconds, row.pays) == (2, 4.0, False)


def test_gains_are_differences_of_figures_and_favour_what_is_better() -> None:
    noisy = opinion("noisy", KNOWN.outputs.logits + 4 * NOISE)
    clean = opinion("clean", KNOWN.outputs.logits, shift=0.3)
    first, second = measure(noisy, clean).rows
    right = [(each.probs.argmax(axis=1) == KNOWN.labels).mean() for each in (noisy, clean)]
    losses = [-np.log(each.probs[np.arange(160), KNOWN.labels]).mean() for each in (noisy, clean)]
    assert second.accuracy_gain.value == pytest.approx(right[1] - right[0])
    assert second.nll_gain.value == pytest.approx(losses[0] - losses[1])
    areas = [auroc(each.scores, each.others["near"]) for each in (noisy, clean)]
    assert second.unknown_gains["near"].value == pytest.approx(areas[1] - areas[0])
    assert (first.unknown_auroc["near"], second.unknown_auroc["near"]) == pytest.approx(tuple(areas))
    assert second.pays
    worse = measure(clean, noisy).rows[1]
    assert worse.nll_gain.high < 0
    assert not worse.pays


def test_something_better_does_not_pay_where_something_else_is_worse_beyond_doubt() -> None:
    plain = opinion("one", KNOWN.outputs.logits)
    row = measure(plain, opinion("other", KNOWN.outputs.logits, shift=0.3)).rows[1]
    assert row.pays
    assert not row.model_copy(update={"nll_gain": Interval(value=-0.2, low=-0.3, high=-0.1)}).pays


def test_an_opinion_is_calibrated_and_its_scores_are_in_standard_deviations_of_calibration() -> None:
    formed = form_opinion("one", Shown(KNOWN, NEAR, 1.0), RULE, DETECTOR)
    assert formed.probs == pytest.approx(softmax(KNOWN.outputs.logits, RULE.temperature.value))
    raw = score_unknown(DETECTOR, KNOWN.outputs.logits, KNOWN.outputs.embeddings)
    calibration = np.array(RULE.unknown.calibration_scores)
    assert formed.scores == pytest.approx((raw - calibration.mean()) / calibration.std())
    rescaled = replace(formed, scores=formed.scores * 3)
    assert average_opinions("both", [formed, rescaled]).scores == pytest.approx(2 * formed.scores)

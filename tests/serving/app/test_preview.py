"""What another promise would have done is counted by the rule that is served, and changes nothing of it."""

from __future__ import annotations

import pytest

from serving.api.schemas import Rung
from serving.app.preview import tell_preview
from tests.serving.app.test_words import MODEL, answer
from vision.decision.passport import KindFigures, Passport, PromiseFigures
from vision.decision.records import Decision

STRICT, SERVED, LOOSE = (
    Rung(target_risk=risk, threshold=threshold) for risk, threshold in ((0.01, 0.95), (0.02, 0.8), (0.1, 0.5))
)
ANSWERS = [
    answer(Decision.ACCEPT, 0.97),
    answer(Decision.ACCEPT, 0.85),
    answer(Decision.REVIEW, 0.6),
    answer(Decision.REVIEW, 0.9),  # its views disagreed: for a person, however sure
    answer(Decision.UNKNOWN, 0.99),
]


@pytest.mark.parametrize(("rung", "after"), [(STRICT, 1), (SERVED, 2), (LOOSE, 3)])
def test_answers_of_the_visit_are_decided_by_the_other_promise(rung: Rung, after: int) -> None:
    assert tell_preview(MODEL, ANSWERS, rung)[-1] == (
        f"Of 5 answers of this visit: {after} decided alone, now 2."
    )


def test_the_test_pictures_are_those_of_the_passport() -> None:
    passport = Passport(
        accuracy=0.9,
        num_images=100,
        num_groups=50,
        classes=(),
        kinds=(KindFigures(kind="near", num_images=10, accept=0.2, review=0.2, unknown=0.6),),
        promises=(PromiseFigures(target_risk=0.01, attainable=True, accepted=0.31, wrong=0.004),),
        unknown_auroc={},
    )
    told = tell_preview(MODEL.model_copy(update={"passport": passport}), [], STRICT)
    assert told[1:] == [
        "Of its test pictures: 31% decided alone, of these 0.4% wrong.",
        "Called unknown, whatever this promise: 60% of look-alikes.",
    ]
    assert len(tell_preview(MODEL, [], STRICT)) == 1


def test_an_answer_that_is_just_sure_enough_is_decided() -> None:
    told = tell_preview(MODEL, [answer(Decision.ACCEPT, SERVED.threshold)], SERVED)
    assert told[-1] == "Of 1 answer of this visit: 1 decided alone, now 1."

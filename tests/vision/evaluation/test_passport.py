"""What travels in the bundle says what the evaluation says, and nothing that is no number."""

from __future__ import annotations

import math

import pytest

from tests.example_evaluation import make_evaluation
from vision.data.records import POOLED, Split
from vision.decision.passport import Passport
from vision.evaluation.passport import make_passport
from vision.evaluation.records import LadderRow


def test_a_passport_holds_the_figures_of_test_and_what_is_undefined_is_left_out() -> None:
    test = make_evaluation("tiny", Split.TEST)
    first = test.classes[0].model_copy(update={"recall": math.nan, "num_images": 0})
    rung = LadderRow(target_risk=0.01, attainable=False, coverage=0.0, accepted=0.0, wrong=math.nan)
    test = test.model_copy(update={"classes": (first, *test.classes[1:]), "ladder": (rung,)})
    passport = make_passport(test, 0.99)
    assert passport.confidence_is_share is not (test.ece > test.ece_floor)
    assert passport.classes[0].recall is None
    assert passport.classes[1].recall == test.classes[1].recall
    assert passport.promises[0].wrong is None
    assert passport.accuracy == test.expected.accuracy.value
    assert passport.accuracy_low == test.expected.accuracy.low
    assert [each.kind for each in passport.kinds] == [each.kind for each in test.rates]
    for each in passport.kinds:
        assert each.accept + each.review + each.unknown == pytest.approx(1.0)
    assert passport.unknown_auroc == {
        row.kind: row.auroc.value for row in test.deciding_rows() if row.class_name == POOLED
    }
    assert set(passport.unknown_auroc) == {row.kind for row in test.deciding_rows()}
    assert passport.decision_agreement == 0.99
    written = passport.model_dump_json(exclude_none=True)
    assert "NaN" not in written
    assert Passport.model_validate_json(written) == passport

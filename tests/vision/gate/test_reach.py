"""What no model can reach on these images is said before training."""

from __future__ import annotations

import pytest

from tests.vision.gate.test_judge import BOOTSTRAP, CLASSES, SETTINGS
from tests.vision.toy import make_splits
from vision.config.decision import ReviewSettings
from vision.data.records import Split
from vision.gate.reach import find_unreachable


@pytest.mark.parametrize(("num_rare", "floors"), [(100, []), (6, ["gain"]), (0, ["gain"])])
def test_a_floor_that_no_model_can_reach_is_found_before_training(num_rare: int, floors: list[str]) -> None:
    """A class of 194 in 200 leaves 3% to gain, where 5% are asked for."""
    names = ["cod" if i < num_rare else "bream" for i in range(200)]
    rows: list[tuple[str, str, Split | None]] = [
        (name, f"{part}{i}", part) for part in (Split.TRAIN, Split.TEST) for i, name in enumerate(names)
    ]
    findings = find_unreachable(make_splits(rows, CLASSES), SETTINGS, ReviewSettings(), BOOTSTRAP, seed=0)
    assert [finding.severity for finding in findings] == ["warning"] * len(floors)
    assert all("change gate.min_gain_over_majority" in finding.message for finding in findings)


def test_a_share_that_no_promise_allows_is_found_before_training() -> None:
    """Twenty groups can promise 20% wrong; 1% takes hundreds."""
    rows: list[tuple[str, str, Split | None]] = [
        (name, f"{part}{name}{i}", part)
        for part, number in ((Split.TRAIN, 10), (Split.TEST, 20))
        for name in CLASSES
        for i in range(number)
    ]
    asked = SETTINGS.model_copy(update={"min_decided": 0.3})

    def find(risk: float) -> list[str]:
        review, splits = ReviewSettings(target_risk=risk), make_splits(rows, CLASSES)
        return [each.message for each in find_unreachable(splits, asked, review, BOOTSTRAP, seed=0)]

    assert find(0.2) == []
    (message,) = find(0.01)
    assert "gate.min_decided" in message

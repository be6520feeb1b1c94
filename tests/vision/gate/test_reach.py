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


def make_rows(num_train: int, num_test: int) -> list[tuple[str, str, Split | None]]:
    """So many groups of one image of each class."""
    return [
        (name, f"{part}{name}{i}", part)
        for part, number in ((Split.TRAIN, num_train), (Split.TEST, num_test))
        for name in CLASSES
        for i in range(number)
    ]


@pytest.mark.parametrize(
    ("most", "least", "needed"), [(0.2, 5, 17), (0.1, 5, 36), (0.2, 24, 24)], ids=["20%", "10%", "24 groups"]
)
def test_a_test_split_of_few_groups_is_told_how_many_it_takes(most: float, least: int, needed: int) -> None:
    """Of n groups none of which is called unknown the upper bound is 1 - 0.025 ** (1 / n)."""
    asked = SETTINGS.model_copy(update={"max_known_called_unknown": most, "min_test_groups": least})
    kept = {
        num: make_splits(make_rows(20, 20)[: 20 * len(CLASSES) + num], CLASSES)
        for num in (needed - 1, needed)
    }
    told = {
        num: [each.message for each in find_unreachable(splits, asked, ReviewSettings(), BOOTSTRAP, seed=0)]
        for num, splits in kept.items()
    }
    for_groups = {num: [each for each in lines if "are needed" in each] for num, lines in told.items()}
    assert for_groups[needed] == []
    (message,) = for_groups[needed - 1]
    assert f"has {needed - 1} pictures, about {needed} are needed: add some " in message


def test_a_share_that_no_promise_allows_is_found_before_training() -> None:
    """Twenty groups can promise 20% wrong; 1% takes hundreds."""
    asked = SETTINGS.model_copy(update={"min_decided": 0.3})

    def find(risk: float, num_train: int = 10, num_test: int = 20) -> list[str]:
        review, splits = (
            ReviewSettings(target_risk=risk),
            make_splits(make_rows(num_train, num_test), CLASSES),
        )
        return [each.message for each in find_unreachable(splits, asked, review, BOOTSTRAP, seed=0)]

    assert find(0.2) == []
    for missed in (find(0.01), find(0.2, num_train=1, num_test=40)):  # test gives no promise
        (message,) = missed
        assert "gate.min_decided" in message
        assert "are needed" not in message

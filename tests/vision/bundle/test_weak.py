"""Classes not to be relied on, in words."""

from __future__ import annotations

import pytest

from vision.bundle.weak import tell_weak_classes, warn_of_class
from vision.decision.records import Decision, WeakClass


def _weak(name: str, right: int, images: int) -> WeakClass:
    return WeakClass(class_name=name, num_right=right, num_images=images)


def test_all_weak_classes_are_named_and_those_of_few_images_are_too_few_to_say() -> None:
    told = tell_weak_classes([_weak("perch", 0, 7), _weak("ide", 1, 4), _weak("chub", 14, 31)])
    assert told == (
        "Do not rely on perch (0 of 7 right on test) and chub (14 of 31). "
        "Too few test pictures to say of ide (1 of 4 right on test)."
    )
    assert tell_weak_classes([]) == ""


@pytest.mark.parametrize(
    ("decision", "weak", "told"),
    [
        (Decision.ACCEPT, "ring_damsel", True),
        (Decision.REVIEW, "ring_damsel", True),
        (Decision.UNKNOWN, "ring_damsel", False),
        (Decision.ACCEPT, "star_damsel", False),
    ],
)
def test_a_class_that_was_mostly_missed_on_test_is_warned_of_where_it_is_named(
    decision: Decision, weak: str, told: bool
) -> None:
    missed = WeakClass(class_name=weak, num_right=2, num_images=9)
    assert ("2 of 9 right" in warn_of_class(decision, "ring_damsel", (missed,))) == told
    assert warn_of_class(decision, "ring_damsel", ()) == ""

"""Classes not to be relied on, in words."""

from __future__ import annotations

from vision.decision.records import WeakClass
from vision.evaluation.weak import tell_weak_classes


def _weak(name: str, right: int, images: int) -> WeakClass:
    return WeakClass(class_name=name, num_right=right, num_images=images)


def test_all_weak_classes_are_named_and_those_of_few_images_are_too_few_to_say() -> None:
    told = tell_weak_classes([_weak("perch", 0, 7), _weak("ide", 1, 4), _weak("chub", 14, 31)])
    assert told == (
        "Do not rely on perch (0 of 7 right on test) and chub (14 of 31). "
        "Too few test pictures to say of ide (1 of 4 right on test)."
    )
    assert tell_weak_classes([]) == ""

"""Which classes a model is not to be relied on for, in words."""

from __future__ import annotations

from collections.abc import Sequence

from vision.base.names import isolate
from vision.base.wording import join_words
from vision.decision.records import Decision, WeakClass

FEWEST_IMAGES = 5
"""Test images of a class from which on it is said that the class is not to be relied on."""


def tell_weak_classes(weak: Sequence[WeakClass]) -> str:
    """`Do not rely on perch (0 of 7 right on test) and ide (1 of 9).`; few test images are too few to say."""
    enough = [each for each in weak if each.num_images >= FEWEST_IMAGES]
    few = [each for each in weak if each.num_images < FEWEST_IMAGES]
    told = [f"Do not rely on {_join(enough)}."] if enough else []
    if few:
        told.append(f"Too few test pictures to say of {_join(few)}.")
    return " ".join(told)


def warn_of_class(decision: Decision, class_name: str, weak: Sequence[WeakClass]) -> str:
    """That the class which is named or suggested was mostly missed on test; else empty."""
    if decision is Decision.UNKNOWN:
        return ""
    return tell_weak_classes([each for each in weak if each.class_name == class_name])


def _join(weak: Sequence[WeakClass]) -> str:
    """The classes with how many were right; the first says what is counted."""
    counted = [f"{each.num_right} of {each.num_images}" for each in weak]
    counted[0] += " right on test"
    named = zip(weak, counted, strict=True)
    return join_words([f"{isolate(each.class_name)} ({count})" for each, count in named])

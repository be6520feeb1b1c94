"""Which classes a model is not to be relied on for, in words."""

from __future__ import annotations

from collections.abc import Sequence

from vision.base.names import isolate
from vision.base.wording import join_words
from vision.decision.records import WeakClass

FEWEST_IMAGES = 5
"""Test images of a class from which on it is said that the class is not to be relied on."""


def tell_weak_classes(weak: Sequence[WeakClass]) -> str:
    """`Do not rely on perch (0 of 7) and chub (14 of 31).`; classes of few test images are too few to say."""
    enough = [_name(each) for each in weak if each.num_images >= FEWEST_IMAGES]
    few = [_name(each) for each in weak if each.num_images < FEWEST_IMAGES]
    told = [f"Do not rely on {join_words(enough)}."] if enough else []
    if few:
        told.append(f"Too few test pictures to say of {join_words(few)}.")
    return " ".join(told)


def _name(weak: WeakClass) -> str:
    return f"{isolate(weak.class_name)} ({weak.num_right} of {weak.num_images})"

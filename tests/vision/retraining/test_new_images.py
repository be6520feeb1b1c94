"""What the champion has not learned is counted by class and group."""

from __future__ import annotations

from tests.vision.retraining.test_decide import NOTHING
from tests.vision.toy import make_splits
from vision.data.records import Split
from vision.retraining.decide import count_new_images
from vision.retraining.records import (
    NewClass,
)


def test_only_images_that_the_champion_has_not_seen_count_by_class_and_group() -> None:
    known = ("bream", "cod")
    old = [("bream", "b1", Split.TRAIN), ("cod", "c1", Split.TEST)]
    champion = make_splits([*old], known)
    rows = [
        *old,
        ("bream", "b1", Split.TRAIN),  # a new frame of an old individual
        ("bream", "b2", Split.TRAIN),
        ("bream", "b2", Split.TRAIN),
        ("cod", "c2", Split.TEST),
        ("cod", "c3", None),  # quarantined
        ("eel", "e1", Split.TEST),  # held out
    ]
    current = make_splits(rows, known)
    new = count_new_images(current, champion)
    assert (new.num_images, new.num_groups) == (4, 2)
    assert new.classes == (
        NewClass(class_name="bream", num_images=3, num_groups=1),
        NewClass(class_name="cod", num_images=1, num_groups=1),
    )
    assert count_new_images(champion, current) == NOTHING


def test_a_class_that_was_held_out_and_a_corrected_label_are_new_to_learn() -> None:
    rows: list[tuple[str, str, Split | None]] = [
        ("bream", "b", Split.TRAIN),
        ("cod", "c", Split.TRAIN),
        ("dab", "d", Split.TEST),
    ]
    champion = make_splits(rows, ("bream", "cod"))
    assert count_new_images(make_splits(rows, ("bream", "cod", "dab")), champion).num_images == 1
    corrected = make_splits([("cod", "b", Split.TRAIN), *rows[1:]], ("bream", "cod"))
    new = count_new_images(corrected, champion)
    assert (new.num_images, new.num_groups) == (1, 0)
    assert count_new_images(champion, champion) == NOTHING


def test_equal_bytes_count_once() -> None:
    rows = [("bream", "b1", Split.TRAIN)] * 3
    current = make_splits([*rows, ("cod", "c", Split.TEST)], ("bream", "cod"))
    copies = current.model_copy(update={"digests": ("a", "a", "b", "c")})
    champion = make_splits([], ("bream", "cod"))
    assert count_new_images(copies, champion).num_images == 3

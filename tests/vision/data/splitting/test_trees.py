"""Splits that a user has made are honoured; what two of them share is refused, dropped, moved or kept."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vision.data.entries import entry, manifest_of
from tests.vision.data.splitting.test_splits import (
    DROP,
    KEEP,
    MOVE,
    SETTINGS,
    assign,
    by_path,
    entry_lists,
)
from vision.base.errors import LeakError
from vision.config.data import LeakPolicy, SplitSettings
from vision.data.records import ImageEntry, Split
from vision.data.splitting.checks import check_leaks
from vision.data.splitting.splits import assign_splits


def tree(name: Split, class_name: str, num: int, start: int = 0) -> list[ImageEntry]:
    numbers = range(start, start + num)
    return [entry(f"{class_name}/{name}{i}.png", f"{class_name}{i}", tree=name) for i in numbers]


def test_three_trees_are_honoured_and_calibration_is_carved_out_of_train() -> None:
    entries = [
        *tree(Split.TRAIN, "a", 70),
        *tree(Split.VALIDATION, "a", 9, start=100),
        *tree(Split.TEST, "a", 11, start=200),
    ]
    assigned = assign(entries)
    assert Counter(assigned.values()) == {
        Split.TRAIN: 55,
        Split.CALIBRATION: 15,
        Split.VALIDATION: 9,
        Split.TEST: 11,
    }
    for each in entries:
        if each.tree is not Split.TRAIN:
            assert assigned[each.path] is each.tree


def test_what_the_trees_lack_is_carved_out_of_train() -> None:
    entries = tree(Split.TRAIN, "a", 85) + tree(Split.VALIDATION, "a", 9, start=100)
    assert Counter(assign(entries).values()) == {
        Split.TRAIN: 55,
        Split.CALIBRATION: 15,
        Split.TEST: 15,
        Split.VALIDATION: 9,
    }
    assert set(assign(tree(Split.TRAIN, "a", 100)).values()) == set(Split)


def test_unknown_images_of_the_training_tree_are_never_trained_on() -> None:
    entries = tree(Split.TRAIN, "a", 30) + tree(Split.TEST, "a", 9, start=100)
    entries += [each.model_copy(update={"is_unknown": True}) for each in tree(Split.TRAIN, "z", 20)]
    counts = Counter(split for path, split in assign(entries).items() if path.startswith("z"))
    assert counts == {Split.VALIDATION: 10, Split.TEST: 10}


def leaking_trees() -> list[ImageEntry]:
    return [
        *tree(Split.TRAIN, "a", 30),
        *tree(Split.TEST, "a", 10, start=100),
        *tree(Split.VALIDATION, "a", 10, start=200),
        entry("a/copy.png", tree=Split.TRAIN, content="a/test101.png"),
        entry("a/sibling.png", "a102", tree=Split.TRAIN),
        entry("a/other.png", "a103", tree=Split.VALIDATION),
    ]


def test_trees_that_share_bytes_or_groups_fail_the_run() -> None:
    with pytest.raises(LeakError) as caught:
        assign(leaking_trees())
    told = str(caught.value)
    assert told.startswith(
        "Tree 'test' shares 2 images with 'train', by equal bytes, group or likeness (first: "
    )
    assert all(word in told for word in ("a/copy.png", "a/test101.png", "1 more", "move", "drop", "keep"))


def test_dropping_keeps_the_copy_in_the_dearer_tree() -> None:
    assigned = assign(leaking_trees(), options=DROP)
    dropped = {path for path, split in assigned.items() if split is None}
    assert dropped == {"a/copy.png", "a/sibling.png", "a/other.png"}
    assert assigned["a/test101.png"] is Split.TEST
    manifest = manifest_of(leaking_trees())
    splits = assign_splits(manifest, DROP, 7)
    check_leaks(manifest, splits)
    reasons = {item.path: item.reason for item in splits.quarantined}
    assert reasons["a/copy.png"] == (
        "shares bytes or group with a/test101.png of the user's test tree, which keeps them"
    )


def test_moving_puts_whole_groups_of_two_trees_into_one_split_and_loses_nothing() -> None:
    manifest = manifest_of(leaking_trees())
    splits = assign_splits(manifest, MOVE, 7)
    check_leaks(manifest, splits)
    assigned = by_path(manifest, splits)
    assert None not in assigned.values()
    assert assigned["a/copy.png"] is assigned["a/test101.png"]
    assert assigned["a/sibling.png"] is assigned["a/test102.png"]


def test_keeping_leaves_every_image_in_its_tree_and_counts_what_is_shared() -> None:
    manifest = manifest_of(leaking_trees())
    splits = assign_splits(manifest, KEEP, 7)
    check_leaks(manifest, splits)
    assigned = by_path(manifest, splits)
    assert splits.kept_leaks == 3
    assert assigned["a/copy.png"] is not Split.TEST
    assert assigned["a/test101.png"] is Split.TEST
    assert assigned["a/other.png"] is Split.VALIDATION


def test_fail_is_the_older_name_of_refuse() -> None:
    assert SplitSettings.model_validate({"on_leak": "fail"}).on_leak is LeakPolicy.REFUSE
    with pytest.raises(ValueError, match="on_leak"):
        SplitSettings.model_validate({"on_leak": "ignore"})


def test_trees_that_share_a_near_duplicate_fail_the_run() -> None:
    entries = [*tree(Split.TRAIN, "a", 30), *tree(Split.TEST, "a", 10, start=100)]
    manifest = manifest_of(entries).model_copy(update={"alike": ((3, 34),)})
    with pytest.raises(LeakError, match="likeness"):
        assign_splits(manifest, SETTINGS, 7)
    kept = assign_splits(manifest, KEEP, 7)
    check_leaks(manifest, kept)
    assert (kept.kept_leaks, kept.splits[34]) == (1, Split.TEST)


def test_carved_images_stay_where_they_were_when_a_tree_grows() -> None:
    first = assign_splits(manifest_of(tree(Split.TRAIN, "a", 60)), SETTINGS, 7)
    before = by_path(manifest_of(tree(Split.TRAIN, "a", 60)), first)
    after = assign(tree(Split.TRAIN, "a", 90), first)
    assert {path: after[path] for path in before} == before


@settings(max_examples=60, deadline=None)
@given(entry_lists(), st.data())
def test_dropping_leaves_trees_that_share_nothing(entries: list[ImageEntry], data: st.DataObject) -> None:
    trees = st.sampled_from([Split.TRAIN, Split.VALIDATION, Split.TEST])
    placed = [each.model_copy(update={"tree": data.draw(trees)}) for each in entries]
    manifest = manifest_of(placed)
    splits = assign_splits(manifest, DROP, 3)
    check_leaks(manifest, splits)
    for each, split in zip(placed, splits.splits, strict=True):
        if split is not None and each.tree is not Split.TRAIN:
            assert split is each.tree

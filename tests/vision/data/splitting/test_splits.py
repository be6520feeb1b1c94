"""Every image has one use, whole groups together, and growth moves nothing."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vision.data.entries import entry, manifest_of
from tests.vision.toy import make_splits
from vision.base.columns.column import Column
from vision.base.columns.rows import Rows
from vision.base.errors import DataError, LeakError
from vision.config.data import CheckSettings, LeakPolicy, SplitSettings
from vision.data.records import HELD_OUT, ImageEntry, Manifest, Split, Splits
from vision.data.splitting.checks import check_leaks, check_splits
from vision.data.splitting.dealing import Components
from vision.data.splitting.splits import assign_splits, tell_test_change

SETTINGS = SplitSettings()
DROP = SplitSettings(on_leak=LeakPolicy.DROP)
MOVE = SplitSettings(on_leak=LeakPolicy.MOVE)
KEEP = SplitSettings(on_leak=LeakPolicy.KEEP)


def by_path(manifest: Manifest, splits: Splits) -> dict[str, Split | None]:
    return dict(zip((each.path for each in manifest.entries), splits.splits, strict=True))


def assign(
    entries: Sequence[ImageEntry],
    previous: Splits | None = None,
    *,
    seed: int = 7,
    options: SplitSettings = SETTINGS,
) -> dict[str, Split | None]:
    manifest = manifest_of(entries)
    return by_path(manifest, assign_splits(manifest, options, seed, previous))


def plain(class_name: str, num: int, group_size: int = 1) -> list[ImageEntry]:
    return [
        entry(f"{class_name}/{i:04d}.png", f"{class_name}-{i // group_size}" if group_size > 1 else None)
        for i in range(num)
    ]


# --- shares ---------------------------------------------------------------------------------------------


def test_each_class_is_dealt_by_the_shares() -> None:
    entries = plain("a", 100) + plain("b", 200)
    assigned = assign(entries)
    for class_name, num in (("a", 100), ("b", 200)):
        counts = Counter(split for path, split in assigned.items() if path.startswith(class_name))
        assert counts[Split.TRAIN] == pytest.approx(0.55 * num, abs=1)
        for split in (Split.VALIDATION, Split.CALIBRATION, Split.TEST):
            assert counts[split] == pytest.approx(0.15 * num, abs=1)


def test_a_mixed_group_is_dealt_as_the_class_that_most_of_it_shows() -> None:
    shown = ["cod", "ablet", "cod", "cod", "ablet"]
    entries = [entry(f"{name}/{place}.png", "g") for place, name in enumerate(shown)]
    rows = Rows.of(ImageEntry, entries)
    dealt = Components.of(Column.of(str, ["g"]), np.zeros(5, int), rows, np.full(5, -1))
    assert rows.column("class_name").codes()[1][dealt.strata[0]] == "cod"


@pytest.mark.parametrize("sizes", [[1, 1, 1, 1], [100, 1, 1, 1], [1, 50, 1, 50, 1], [9, 9, 9, 9, 9, 9]])
@pytest.mark.parametrize("seed", range(5))
def test_four_groups_are_enough_for_every_split(sizes: list[int], seed: int) -> None:
    entries = [entry(f"a/{g}_{i}.png", f"g{g}") for g, size in enumerate(sizes) for i in range(size)]
    assert set(assign(entries + plain("b", 8), seed=seed).values()) == set(Split)
    only_a = {split for path, split in assign(entries, seed=seed).items() if path.startswith("a")}
    assert only_a == set(Split)


def test_fewer_groups_than_splits_serve_train_and_test_first() -> None:
    assert set(assign(plain("a", 1)).values()) == {Split.TRAIN}
    assert set(assign(plain("a", 2)).values()) == {Split.TRAIN, Split.TEST}
    assert set(assign(plain("a", 3)).values()) == {Split.TRAIN, Split.TEST, Split.VALIDATION}


def test_held_out_classes_go_to_validation_and_test_half_and_half() -> None:
    held_out = [entry(f"z/{i}.png", f"z{i // 2}", is_unknown=True) for i in range(40)]
    assigned = assign(plain("a", 40) + plain("b", 40) + held_out)
    counts = Counter(split for path, split in assigned.items() if path.startswith("z"))
    assert counts == {Split.VALIDATION: 20, Split.TEST: 20}


def test_the_record_is_aligned_with_the_manifest() -> None:
    manifest = manifest_of([*plain("a", 8), entry("z/1.png", is_unknown=True)])
    splits = assign_splits(manifest, SETTINGS, 7)
    assert splits.digests == tuple(each.digest for each in manifest.entries)
    assert splits.image_classes == ("a",) * 8 + ("z",)
    assert splits.class_names == ("a",)
    assert splits.unknown_class_names == ("z",)
    rows = [
        row for split in Split for unknown in (False, True) for row in splits.rows(split, unknown=unknown)
    ]
    assert sorted(rows) == list(range(9))


def test_an_empty_manifest_is_an_error() -> None:
    with pytest.raises(DataError, match="lists no image"):
        assign_splits(manifest_of([]), SETTINGS, 7)


# --- groups ---------------------------------------------------------------------------------------------


def test_duplicates_join_groups_into_one_component() -> None:
    entries = [
        entry("a/1.png", "g1", content="same"),
        entry("a/2.png", "g2", content="same"),
        entry("a/3.png", "g2"),
        entry("a/4.png", content="same"),
        *plain("b", 20),
    ]
    manifest = manifest_of(entries)
    splits = assign_splits(manifest, SETTINGS, 7)
    assert set(splits.groups[:4]) == {"g1"}
    assert len(set(splits.splits[:4])) == 1


def test_equal_bytes_under_two_labels_are_quarantined() -> None:
    manifest = manifest_of(
        [entry("a/1.png", content="same"), entry("b/2.png", content="same"), *plain("a", 9), *plain("b", 9)]
    )
    splits = assign_splits(manifest, SETTINGS, 7)
    assert splits.splits[:2] == (None, None)
    assert [item.path for item in splits.quarantined] == ["a/1.png", "b/2.png"]
    assert splits.quarantined[0].reason == "the same bytes carry two labels, a and b (also b/2.png)"
    assert None not in splits.splits[2:]


def test_where_all_pictures_are_one_under_two_labels_the_checks_say_so() -> None:
    manifest = manifest_of([entry(f"{name}/{i}.png", content="same") for name in "ab" for i in range(9)])
    splits = assign_splits(manifest, SETTINGS, 7)
    assert set(splits.splits) == {None}
    with pytest.raises(DataError, match=r"18 of 18 files cannot be used .*carry two labels, a and b"):
        check_splits(manifest, splits, CheckSettings())


# --- growth ---------------------------------------------------------------------------------------------


def test_what_joins_two_earlier_splits_is_quarantined_and_the_old_stay() -> None:
    old = [entry(f"a/{i}.png", f"g{i}") for i in range(20)]
    first = assign_splits(manifest_of(old), SETTINGS, 7)
    of = by_path(manifest_of(old), first)
    in_train = next(path for path, split in of.items() if split is Split.TRAIN)
    in_test = next(path for path, split in of.items() if split is Split.TEST)
    test_group = next(each.group for each in old if each.path == in_test)
    bridge = entry("a/new.png", test_group, content=in_train)  # a copy of a training image, in a test group
    manifest = manifest_of([*old, bridge])
    second = assign_splits(manifest, SETTINGS, 7, first)
    assert by_path(manifest, second) == {**of, "a/new.png": None}
    reason = second.quarantined[0].reason
    assert in_train in reason
    assert in_test in reason
    assert "train" in reason
    assert "test" in reason
    check_leaks(manifest, second)
    assert assign_splits(manifest, SETTINGS, 7, second) == second


def test_two_new_images_that_join_only_together_lose_one() -> None:
    old = [entry(f"a/{i}.png") for i in range(20)]
    first = assign_splits(manifest_of(old), SETTINGS, 7)
    of = by_path(manifest_of(old), first)
    ends = [next(path for path, split in of.items() if split is each) for each in (Split.TRAIN, Split.TEST)]
    new = [entry(f"a/new{i}.png", "new", content=path) for i, path in enumerate(ends)]
    assigned = assign([*old, *new], first)
    assert {path: assigned[path] for path in of} == of
    assert sorted(str(assigned[each.path]) for each in new).count("None") == 1


def test_new_images_of_a_known_group_follow_it_even_when_the_old_ones_are_gone() -> None:
    old = plain("a", 40, group_size=2)
    first = assign_splits(manifest_of(old), SETTINGS, 7)
    split_of = dict(zip(first.groups, first.splits, strict=True))
    new = [entry(f"a/new{i}.png", f"a-{i}") for i in range(20)]
    for path, split in assign(new, first).items():
        assert split is split_of[f"a-{path.removeprefix('a/new').removesuffix('.png')}"]


def test_groups_declared_later_keep_the_dearer_split_and_drop_the_rest() -> None:
    old = [entry(f"a/{i}.png") for i in range(20)]
    first = assign_splits(manifest_of(old), SETTINGS, 7)
    of = by_path(manifest_of(old), first)
    train = next(path for path, split in of.items() if split is Split.TRAIN)
    test = next(path for path, split in of.items() if split is Split.TEST)
    now = [entry(each.path, "pair") if each.path in (train, test) else each for each in old]
    assigned = assign(now, first)
    assert assigned[test] is Split.TEST
    assert assigned[train] is None


def test_a_class_held_out_later_leaves_train() -> None:
    known = plain("a", 20) + plain("b", 20)
    first = assign_splits(manifest_of(known), SETTINGS, 7)
    now = plain("a", 20) + [each.model_copy(update={"is_unknown": True}) for each in plain("b", 20)]
    assigned = assign(now, first)
    assert {split for path, split in assigned.items() if path.startswith("b")} == {
        Split.VALIDATION,
        Split.TEST,
    }


def test_a_relabelled_image_keeps_its_split() -> None:
    old = plain("a", 20) + plain("b", 20)
    first = assign_splits(manifest_of(old), SETTINGS, 7)
    moved = [*old[:5], *old[6:], entry("b/moved.png", content="a/0005.png")]
    assert assign(moved, first)["b/moved.png"] is by_path(manifest_of(old), first)["a/0005.png"]


# --- pictures that look alike ---------------------------------------------------------------------------


def test_pictures_that_look_alike_share_a_split_through_any_number_of_others() -> None:
    alike = [(index, index + 1) for index in range(0, 40, 4)] + [
        (index, index + 5) for index in range(0, 40, 8)
    ]
    manifest = manifest_of([*plain("a", 60), *plain("b", 60)]).model_copy(update={"alike": tuple(alike)})
    splits = assign_splits(manifest, SETTINGS, 7)
    check_leaks(manifest, splits)
    assert all(splits.groups[first] == splits.groups[second] for first, second in alike)
    assert len(set(splits.groups)) == 120 - len(alike)


def test_the_leak_check_finds_pictures_that_look_alike_in_two_splits() -> None:
    manifest = manifest_of(plain("a", 60))
    splits = assign_splits(manifest, SETTINGS, 7)
    pair = splits.rows(Split.TRAIN)[0], splits.rows(Split.TEST)[0]
    leaking = manifest.model_copy(update={"alike": (tuple(sorted(map(int, pair))),)})
    with pytest.raises(LeakError, match="likeness"):
        check_leaks(leaking, splits)


def test_a_new_picture_that_looks_like_two_splits_is_left_out_and_the_old_ones_stay() -> None:
    old = plain("a", 60)
    before = assign_splits(manifest_of(old), SETTINGS, 7)
    first, second = int(before.rows(Split.TRAIN)[0]), int(before.rows(Split.TEST)[0])
    grown = manifest_of([*old, entry("a/new.png"), entry("a/next.png")])
    after = assign_splits(
        grown.model_copy(update={"alike": ((first, 60), (second, 60), (second, 61))}), SETTINGS, 7, before
    )
    assert after.splits[:60] == before.splits
    assert after.splits[60:] == (None, Split.TEST)


# --- properties -----------------------------------------------------------------------------------------


@st.composite
def entry_lists(draw: st.DrawFn) -> list[ImageEntry]:
    """Images with few groups and contents, so that they collide; z is held out."""
    num = draw(st.integers(4, 40))
    entries = []
    for index in range(num):
        class_name = draw(st.sampled_from("aabbz"))
        group = draw(st.sampled_from([None, "g1", "g2", "g3", "g4", f"g{index}"]))
        content = draw(st.sampled_from([None, None, None, f"{class_name}{index // 4}", f"any{index // 6}"]))
        entries.append(
            entry(f"{class_name}/{index}.png", group, content=content, is_unknown=class_name == "z")
        )
    return entries


@settings(max_examples=150, deadline=None)
@given(entry_lists(), st.integers(0, 5))
def test_no_bytes_and_no_group_are_in_two_splits(entries: list[ImageEntry], seed: int) -> None:
    manifest = manifest_of(entries)
    splits = assign_splits(manifest, SETTINGS, seed)
    uses: dict[str, set[Split]] = defaultdict(set)
    for each, group, split in zip(entries, splits.groups, splits.splits, strict=True):
        if split is not None:
            for mark in (each.digest, f"declared {each.group or each.path}", f"component {group}"):
                uses[mark].add(split)
            assert not (each.is_unknown and split in (Split.TRAIN, Split.CALIBRATION))
    assert all(len(found) == 1 for found in uses.values())
    quarantined = {item.path for item in splits.quarantined}
    assert quarantined == {path for path, split in by_path(manifest, splits).items() if split is None}


@settings(max_examples=100, deadline=None)
@given(entry_lists(), st.randoms(use_true_random=False))
def test_the_order_of_the_files_does_not_matter(entries: list[ImageEntry], random: Random) -> None:
    shuffled = list(entries)
    random.shuffle(shuffled)
    assert assign(shuffled) == assign(entries)


@settings(max_examples=150, deadline=None)
@given(entry_lists(), st.data())
def test_growth_keeps_every_earlier_assignment(entries: list[ImageEntry], data: st.DataObject) -> None:
    keep = data.draw(st.lists(st.booleans(), min_size=len(entries), max_size=len(entries)))
    old = [each for each, kept in zip(entries, keep, strict=True) if kept] or entries[:1]
    first = assign_splits(manifest_of(old), SETTINGS, 3)
    before = by_path(manifest_of(old), first)
    manifest = manifest_of(entries)
    second = assign_splits(manifest, SETTINGS, 3, first)
    after = by_path(manifest, second)
    # An image may be left out where a new one joins what was kept apart; it never changes its split.
    left_out = {item.path for item in second.quarantined if re.search("two labels|would join", item.reason)}
    for path, split in before.items():
        if split is not None and path not in left_out:
            assert after[path] is split
    check_leaks(manifest, second)


@settings(max_examples=60, deadline=None)
@given(entry_lists())
def test_assigning_again_changes_nothing(entries: list[ImageEntry]) -> None:
    manifest = manifest_of(entries)
    first = assign_splits(manifest, SETTINGS, 3)
    assert assign_splits(manifest, SETTINGS, 3, first) == first


def test_an_image_of_a_class_that_is_held_out_is_used_in_no_split_that_teaches() -> None:
    rows: list[tuple[str, str, Split | None]] = [
        ("cod", "a", Split.TRAIN),
        ("cod", "b", Split.TEST),
        ("whale", "c", Split.VALIDATION),
        ("cod", "d", None),
    ]
    splits = make_splits(rows, ("cod",))
    assert list(splits.uses().values()) == ["train", "test", HELD_OUT]


@settings(max_examples=150, deadline=None)
@given(entry_lists(), st.data())
def test_no_two_that_look_alike_are_in_two_splits_however_they_are_chained(
    entries: list[ImageEntry], data: st.DataObject
) -> None:
    rows = st.integers(0, len(entries) - 1)
    drawn = data.draw(st.lists(st.tuples(rows, rows), max_size=len(entries)))
    alike = tuple(sorted({(min(pair), max(pair)) for pair in drawn if pair[0] != pair[1]}))
    trees = st.sampled_from([None, Split.TRAIN, Split.TEST])
    placed = [each.model_copy(update={"tree": data.draw(trees)}) for each in entries]
    manifest = manifest_of(data.draw(st.sampled_from([entries, placed]))).model_copy(update={"alike": alike})
    half = len(entries) // 2
    old = manifest.model_copy(update={"entries": manifest.entries[:half], "alike": ()})
    options = data.draw(st.sampled_from([DROP, MOVE]))
    previous = assign_splits(old, options, 3) if half and data.draw(st.booleans()) else None
    splits = assign_splits(manifest, options, 3, previous)
    for first, second in alike:
        assert len({splits.splits[first], splits.splits[second]} - {None}) < 2


def test_how_test_differs_from_an_earlier_one_is_told_in_numbers() -> None:
    paths = [f"{name}/{i}.png" for name in "ab" for i in range(40)]
    entries = [entry(path) for path in paths]
    old = assign_splits(manifest_of(entries), SETTINGS, 3)
    assert tell_test_change(assign_splits(manifest_of(entries), SETTINGS, 3, old), old) == ""
    test = [path for path, split in zip(paths, old.splits, strict=True) if split is Split.TEST]
    left, moved = test[0], test[1]
    entries = [entry(path) for path in paths if path != left]
    row = paths.index(moved) - (paths.index(left) < paths.index(moved))
    entries[row] = entries[row].model_copy(update={"class_name": "ab".replace(moved[0], "")})
    entries += [entry(f"a/new{i}.png") for i in range(40)]
    new = assign_splits(manifest_of(entries), SETTINGS, 3, old)
    joined = sum(split is Split.TEST for split in new.splits) - len(test) + 1
    told = tell_test_change(new, old)
    assert f"1 picture left it, {joined} pictures joined it and 1 picture changed the class" in told

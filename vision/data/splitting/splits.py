"""Assigns images to train, validation, calibration and test; all images of a group to the same.

A group is a connected component of declared groups, of equal bytes and of pictures that look alike. Groups
are dealt to the splits class by class, in the order of a keyed hash of their names, so that neither the order
of the files nor a few new ones move the others. No image changes the split that an earlier assignment gave
it; a new image that would join groups of two splits is quarantined, and so are equal bytes under two labels.
What is remembered is bytes and component, not the declared group: where a new file repeats old bytes under
another group, the quarantined one may be an old image of that group.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vision.base.columns.column import Column
from vision.base.columns.rows import Rows
from vision.base.errors import DataError, LeakError
from vision.base.record import IntArray
from vision.base.wording import count_of, join_words
from vision.config.data import LeakPolicy, SplitSettings
from vision.data.groups.components import Linked, Mask, hold_several, own_name
from vision.data.groups.links import Links
from vision.data.records import ImageEntry, Manifest, Quarantined, Split, Splits
from vision.data.splitting.dealing import SPLITS, Components, deal, number_splits
from vision.data.splitting.earlier import Earlier

_PROTECTION = (Split.TEST, Split.CALIBRATION, Split.VALIDATION, Split.TRAIN)
"""Which split keeps its images when two share some; the first is the dearest."""


def assign_splits(
    manifest: Manifest, settings: SplitSettings, seed: int, previous: Splits | None = None
) -> Splits:
    """Assign every group of images to one split.

    Known classes are dealt to the four splits by their shares of images; each class of at least four groups
    has at least one in every split. Held-out unknown classes go to validation and test, half and half. The
    user's own trees are honoured; what they lack is carved out of the training tree. Images that `previous`,
    the assignment of an earlier run, knows by their bytes or by a group of its keep their split.

    Returns:
        One split, group and class for each entry of the manifest, in its order.

    Raises:
        DataError: the manifest has no entries.
        LeakError: two of the user's trees share images or groups, and `on_leak` is refuse.
    """
    entries = manifest.entries
    if not entries:
        raise DataError("The manifest lists no image. Expected at least one. Check dataset.path.")
    out: dict[int, str] = {}
    linked, trees = Linked.of(manifest), number_splits(entries.column("tree"))
    out.update(find_contradictions(entries, linked))
    shared = _separate_trees(entries, linked, trees, settings.on_leak, out)
    kept_leaks = shared if settings.on_leak is LeakPolicy.KEEP else 0
    if kept_leaks:
        linked = linked.within(np.where(trees < 0, len(SPLITS), trees), [*map(str, SPLITS), "None"])
    present = frozenset(SPLITS[number] for number in np.unique(trees[trees >= 0]))
    earlier = Earlier.of(entries, previous, present)
    if kept_leaks:
        earlier = replace(earlier, rows=np.full(len(entries), -1))
    _separate_earlier(entries, linked, earlier, out)
    kept = _kept(len(entries), out)
    rows = linked.components(kept)
    names = linked.name_all(rows)
    chosen = deal(Components.of(names, rows, entries, earlier.splits), present, settings, seed)
    left_out = np.flatnonzero(~kept)
    codes = rows.copy()
    codes[left_out] = len(names) + np.arange(len(left_out))
    return Splits(
        class_names=manifest.class_names,
        unknown_class_names=manifest.unknown_class_names,
        digests=entries.column("digest"),
        groups=Column.numbered(str, codes, Column.join([names, linked.own_names(left_out)])),
        image_classes=entries.column("class_name"),
        splits=Column.numbered(Split, np.append(chosen, -1)[rows], SPLITS),
        quarantined=tuple(_quarantine(entries[row], out[row]) for row in sorted(out)),
        kept_leaks=kept_leaks,
    )


def tell_test_change(splits: Splits, previous: Splits) -> str:
    """How test differs from that of the run whose model is in production; empty where it is the same."""
    before, now = _classes_of_test(previous), _classes_of_test(splits)
    kept = before.keys() & now.keys()
    counts = {
        "left it": len(before.keys() - kept),
        "joined it": len(now.keys() - kept),
        "changed the class": sum(before[digest] != now[digest] for digest in kept),
    }
    told = [f"{count_of(count, 'picture')} {what}" for what, count in counts.items() if count]
    if not told:
        return ""
    return (
        f"Test is not that of the model in production: {join_words(told)}. The two runs' figures are not of "
        "the same pictures; the gate asks both models about this test."
    )


def _classes_of_test(splits: Splits) -> dict[str, str]:
    """Digest of every image of test -> its class."""
    test = splits.used_as(Split.TEST)
    return dict(zip(splits.digests.take(test), splits.image_classes.take(test), strict=True))


def _quarantine(entry: ImageEntry, reason: str) -> Quarantined:
    return Quarantined(path=entry.path, reason=reason, class_name=entry.class_name)


def _kept(num: int, out: Mapping[int, str]) -> Mask:
    """Which of `num` rows are not left out, shape (num,)."""
    kept = np.ones(num, dtype=bool)
    kept[list(out)] = False
    return kept


# --- what may not stay ----------------------------------------------------------------------------------


def find_contradictions(entries: Rows[ImageEntry], linked: Linked) -> dict[int, str]:
    """Row -> why it is set aside, of equal bytes under two labels: none of them can be trusted."""
    out: dict[int, str] = {}
    doubtful = np.flatnonzero(hold_several(linked.digests, entries.column("class_name").codes()[0]))
    rows_of: dict[str, list[tuple[int, ImageEntry]]] = defaultdict(list)
    for row, entry in zip(doubtful.tolist(), entries.take(doubtful), strict=True):
        rows_of[entry.digest].append((row, entry))
    for rows in rows_of.values():
        first_of: dict[str, str] = {}
        for _, entry in sorted(rows, key=lambda each: each[1].path):
            first_of.setdefault(entry.class_name, entry.path)
        words = f"the same bytes carry two labels, {' and '.join(sorted(first_of))}"
        for row, entry in rows:
            other = next(path for name, path in first_of.items() if name != entry.class_name)
            out[row] = f"{words} (also {other})"
    return out


@dataclass(frozen=True)
class _Row:
    """An image of a component that holds two labels: only these are linked image by image.

    Attributes:
        digest: name of its bytes, and
        group: of its declared group, empty if none; within one tree where only that counts.
        keys: of both, and
        near: of the bytes of what looks like it.
    """

    number: int
    entry: ImageEntry
    digest: str
    group: str
    keys: tuple[int, ...]
    near: tuple[int, ...]


def _list_conflicts(
    entries: Rows[ImageEntry], linked: Linked, labels: IntArray, out: Mapping[int, str]
) -> list[_Row]:
    """The rows, not left out, of components with two of the labels (n,); a negative label is none."""
    kept = _kept(len(entries), out)
    everything = linked.components(np.ones(len(kept), dtype=bool))
    rows = np.flatnonzero(kept & hold_several(everything, np.where(kept, labels, -1)))
    near: dict[int, list[int]] = defaultdict(list)
    for first, second in linked.pairs[np.isin(linked.pairs, rows).any(axis=1)].tolist():
        near[first].append(int(linked.digests[second]))
        near[second].append(int(linked.digests[first]))
    digests, groups = linked.digests[rows], linked.groups[rows]
    num, digest_names = len(linked.digest_names), linked.digest_names.take(digests)
    group_names = [linked.group_names[group] if group >= 0 else "" for group in groups.tolist()]
    columns = zip(rows.tolist(), entries.take(rows), digests.tolist(), groups.tolist(), strict=True)
    return [
        _Row(row, entry, name, of, (digest,) if group < 0 else (digest, num + group), tuple(near[row]))
        for (row, entry, digest, group), name, of in zip(columns, digest_names, group_names, strict=True)
    ]


def _separate_trees(
    entries: Rows[ImageEntry], linked: Linked, trees: IntArray, on_leak: LeakPolicy, out: dict[int, str]
) -> int:
    """Find what the user's trees share, and refuse it, drop the copy in the less protected tree, or leave it.

    An added image, which lies in no tree, is left out where it would join two of them. Returns the number of
    images that a tree shares with a more protected one; groups that will be moved whole are not counted.
    """

    def order(row: _Row) -> tuple[int, str, str, str]:
        tree = row.entry.tree
        rank = _PROTECTION.index(tree) if tree is not None else len(_PROTECTION)
        return rank, row.digest, row.group, row.entry.path

    links = Links()
    shared: list[tuple[ImageEntry, Split, str]] = []
    if on_leak is LeakPolicy.MOVE or not (trees >= 0).any():
        return 0
    for row in sorted(_list_conflicts(entries, linked, trees, out), key=order):
        entry = row.entry
        conflict = links.add(row.keys, row.near, None if entry.tree is None else (entry.tree, entry.path))
        if conflict is not None and entry.tree is None:
            (first, first_path), (second, second_path) = conflict
            out[row.number] = (
                f"shares bytes or group with {first_path} of the user's {first} tree and with {second_path} "
                f"of the {second} tree"
            )
        elif conflict is not None:
            split, path = next(label for label in conflict if label[0] is not entry.tree)
            shared.append((entry, split, path))
            if on_leak is LeakPolicy.DROP:
                reason = f"shares bytes or group with {path} of the user's {split} tree, which keeps them"
                out[row.number] = reason
    if shared and on_leak is LeakPolicy.REFUSE:
        raise LeakError(_describe_shared_trees(shared))
    return len(shared)


def _describe_shared_trees(shared: Sequence[tuple[ImageEntry, Split, str]]) -> str:
    entry, split, path = min(shared, key=lambda item: item[0].path)
    count = sum(1 for other, of, _ in shared if of is split and other.tree is entry.tree)
    noun = "image" if count == 1 else "images"
    others = len(shared) - count
    more = f" Other pairs of trees share {others} more." if others else ""
    return (
        f"Tree {str(split)!r} shares {count} {noun} with {str(entry.tree)!r}, by equal bytes, group or "
        f"likeness (first: {entry.path}, with {path}).{more} Expected none: what was trained on is no test. "
        "Set split.on_leak: move (whole groups go to one split), drop (the copies are left out) or keep "
        "(as they lie; the report says so)."
    )


# --- what an earlier assignment kept apart ----------------------------------------------------------------


def _separate_earlier(
    entries: Rows[ImageEntry], linked: Linked, earlier: Earlier, out: dict[int, str]
) -> None:
    """Quarantine what would join two splits of the earlier assignment; the images it knows come first."""

    def order(row: _Row) -> tuple[int, int, str, str, str]:
        known, split = int(earlier.rows[row.number]), int(earlier.splits[row.number])
        tier = 2 if known < 0 else int(earlier.groups[known] != own_name(row.entry))
        rank = _PROTECTION.index(SPLITS[split]) if split >= 0 else len(_PROTECTION)
        return tier, rank, row.digest, row.group, row.entry.path

    links = Links()
    for row in sorted(_list_conflicts(entries, linked, earlier.splits, out), key=order):
        split, own = int(earlier.splits[row.number]), row.entry.path
        conflict = links.add(row.keys, row.near, (SPLITS[split], own) if split >= 0 else None)
        if conflict is not None:
            (first, first_path), (second, second_path) = conflict
            pair = [path for path in (first_path, second_path) if path != own]
            out[row.number] = (
                f"would join {first} and {second}, which an earlier run kept apart "
                f"(shares bytes or group with {' and '.join(pair)})"
            )

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
from dataclasses import dataclass

from vision.base.errors import DataError, LeakError
from vision.base.wording import count_of, join_words
from vision.config.data import LeakPolicy, SplitSettings
from vision.data.dealing import Component, deal, open_splits
from vision.data.links import Links, own_name
from vision.data.records import ImageEntry, Manifest, Quarantined, Split, Splits

_PROTECTION = (Split.TEST, Split.CALIBRATION, Split.VALIDATION, Split.TRAIN)
"""Which split keeps its images when two share some; the first is the dearest."""


def assign_splits(
    manifest: Manifest, settings: SplitSettings, seed: int, previous: Splits | None = None
) -> Splits:
    """Assign every group of images to one split.

    Known classes are dealt to the four splits by their shares of images; each class of at least four groups
    has at least one in every split. Held-out unknown classes go to validation and test, half and half. The
    user's own trees are honoured; what they lack is carved out of the training tree.

    Args:
        manifest: the images.
        settings: shares of the splits, and what happens to images that two of the user's trees share.
        seed: orders the groups.
        previous: the assignment of an earlier run on a part of these images. Images that it knows (by their
            bytes, or by a group of its) keep their split.

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
    _quarantine_contradictions(entries, out)
    images = _Images(entries, manifest.lookalikes())
    shared = _separate_trees(images, settings.on_leak, out)
    if settings.on_leak is LeakPolicy.KEEP and shared:
        images = images.within_trees()
    trees = frozenset(entry.tree for entry in entries if entry.tree is not None)
    memory = _Memory.of(previous)
    earlier = [_earlier_split(entry, memory, trees) for entry in entries]
    _separate_earlier(images, earlier, memory, out)
    members = _components(images, out)
    components = {name: Component.of(name, rows, entries, earlier) for name, rows in members.items()}
    chosen = deal(components, trees, settings, seed)
    group_of = {row: name for name, rows in members.items() for row in rows}
    return Splits(
        class_names=manifest.class_names,
        unknown_class_names=manifest.unknown_class_names,
        digests=tuple(entry.digest for entry in entries),
        groups=tuple(group_of.get(row, own_name(entry)) for row, entry in enumerate(images.entries)),
        image_classes=tuple(entry.class_name for entry in entries),
        splits=tuple(chosen[group_of[row]] if row in group_of else None for row in range(len(entries))),
        quarantined=tuple(_quarantine(entries[row], out[row]) for row in sorted(out)),
        kept_leaks=shared if settings.on_leak is LeakPolicy.KEEP else 0,
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
    columns = zip(splits.digests, splits.image_classes, splits.splits, strict=True)
    return {digest: name for digest, name, split in columns if split is Split.TEST}


@dataclass(frozen=True)
class _Images:
    """The entries by which images are linked, and the rows that look like each."""

    entries: Sequence[ImageEntry]
    alike: Mapping[int, Sequence[int]]

    def like(self, row: int) -> list[ImageEntry]:
        """The entries that look like a row's."""
        return [self.entries[other] for other in self.alike.get(row, ())]

    def within_trees(self) -> _Images:
        """The same, with bytes, groups and likeness that count within one of the user's trees only."""
        entries = [
            entry.model_copy(
                update={
                    "digest": f"{entry.digest}@{entry.tree}",
                    "group": entry.group and f"{entry.group}@{entry.tree}",
                }
            )
            for entry in self.entries
        ]
        alike = {
            row: [other for other in others if entries[other].tree is entries[row].tree]
            for row, others in self.alike.items()
        }
        return _Images(entries, alike)


def _quarantine(entry: ImageEntry, reason: str) -> Quarantined:
    return Quarantined(path=entry.path, reason=reason, class_name=entry.class_name)


# --- what may not stay ----------------------------------------------------------------------------------


def _quarantine_contradictions(entries: Sequence[ImageEntry], out: dict[int, str]) -> None:
    """Equal bytes under two labels: none of them can be trusted."""
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, entry in enumerate(entries):
        rows_of[entry.digest].append(row)
    for rows in rows_of.values():
        first_of: dict[str, str] = {}
        for row in sorted(rows, key=lambda each: entries[each].path):
            first_of.setdefault(entries[row].class_name, entries[row].path)
        if len(first_of) < 2:
            continue
        words = f"the same bytes carry two labels, {' and '.join(sorted(first_of))}"
        for row in rows:
            other = next(path for name, path in first_of.items() if name != entries[row].class_name)
            out[row] = f"{words} (also {other})"


def _separate_trees(images: _Images, on_leak: LeakPolicy, out: dict[int, str]) -> int:
    """Find what the user's trees share, and refuse it, drop the copy in the less protected tree, or leave it.

    An added image, which lies in no tree, is left out where it would join two of them. Returns the number of
    images that a tree shares with a more protected one; groups that will be moved whole are not counted.
    """
    entries = images.entries

    def order(row: int) -> tuple[int, str, str, str]:
        entry = entries[row]
        rank = _PROTECTION.index(entry.tree) if entry.tree is not None else len(_PROTECTION)
        return rank, entry.digest, entry.group or "", entry.path

    links = Links()
    shared: list[tuple[int, Split, str]] = []
    if on_leak is LeakPolicy.MOVE or all(entry.tree is None for entry in entries):
        return 0
    for row in sorted((row for row in range(len(entries)) if row not in out), key=order):
        conflict = links.add(entries[row], entries[row].tree, images.like(row))
        if conflict is not None and entries[row].tree is None:
            (first, first_path), (second, second_path) = conflict
            out[row] = (
                f"shares bytes or group with {first_path} of the user's {first} tree and with {second_path} "
                f"of the {second} tree"
            )
        elif conflict is not None:
            split, path = next(label for label in conflict if label[0] is not entries[row].tree)
            shared.append((row, split, path))
    if shared and on_leak is LeakPolicy.REFUSE:
        raise LeakError(_describe_shared_trees(entries, shared))
    if on_leak is LeakPolicy.DROP:
        for row, split, path in shared:
            out[row] = f"shares bytes or group with {path} of the user's {split} tree, which keeps them"
    return len(shared)


def _describe_shared_trees(entries: Sequence[ImageEntry], shared: Sequence[tuple[int, Split, str]]) -> str:
    row, split, path = min(shared, key=lambda item: entries[item[0]].path)
    tree = entries[row].tree
    count = sum(1 for each in shared if each[1] is split and entries[each[0]].tree is tree)
    noun = "image" if count == 1 else "images"
    others = len(shared) - count
    more = f" Other pairs of trees share {others} more." if others else ""
    return (
        f"Tree {str(split)!r} shares {count} {noun} with {str(tree)!r}, by equal bytes, group or likeness "
        f"(first: {entries[row].path}, with {path}).{more} Expected none: what was trained on is no test. "
        "Set split.on_leak: move (whole groups go to one split), drop (the copies are left out) or keep "
        "(as they lie; the report says so)."
    )


@dataclass(frozen=True)
class _Memory:
    """What an earlier assignment knows.

    Attributes:
        images: digest -> (split, group, whether its class was held out as unknown).
        groups: group -> (split, whether one of its classes was held out as unknown).
    """

    images: Mapping[str, tuple[Split, str, bool]]
    groups: Mapping[str, tuple[Split, bool]]

    @staticmethod
    def of(previous: Splits | None) -> _Memory:
        images: dict[str, tuple[Split, str, bool]] = {}
        groups: dict[str, tuple[Split, bool]] = {}
        if previous is not None:
            unknown = set(previous.unknown_class_names)
            columns = zip(
                previous.digests, previous.groups, previous.image_classes, previous.splits, strict=True
            )
            for digest, group, class_name, split in columns:
                if split is not None:
                    images[digest] = (split, group, class_name in unknown)
                    held_out = class_name in unknown or (group in groups and groups[group][1])
                    groups[group] = (split, held_out)
        return _Memory(images, groups)


def _earlier_split(entry: ImageEntry, memory: _Memory, trees: frozenset[Split]) -> Split | None:
    """The split that the image or its group had, where it may keep it."""
    if entry.digest in memory.images:
        split, _, was_unknown = memory.images[entry.digest]
    elif entry.group is not None and entry.group in memory.groups:
        split, was_unknown = memory.groups[entry.group]
    else:
        return None
    if was_unknown != entry.is_unknown:
        return None  # its class has been held out since, or is no longer
    return split if entry.tree is None or split in open_splits(entry.tree, entry.is_unknown, trees) else None


def _separate_earlier(
    images: _Images, earlier: Sequence[Split | None], memory: _Memory, out: dict[int, str]
) -> None:
    """Quarantine what would join two splits of the earlier assignment; the images it knows come first."""
    entries = images.entries

    def order(row: int) -> tuple[int, int, str, str, str]:
        entry, split = entries[row], earlier[row]
        known = memory.images.get(entry.digest)
        tier = 2 if known is None else int(known[1] != own_name(entry))
        rank = _PROTECTION.index(split) if split is not None else len(_PROTECTION)
        return tier, rank, entry.digest, entry.group or "", entry.path

    links = Links()
    for row in sorted((row for row in range(len(entries)) if row not in out), key=order):
        conflict = links.add(entries[row], earlier[row], images.like(row))
        if conflict is not None:
            (first, first_path), (second, second_path) = conflict
            own = entries[row].path
            pair = [path for path in (first_path, second_path) if path != own]
            out[row] = (
                f"would join {first} and {second}, which an earlier run kept apart "
                f"(shares bytes or group with {' and '.join(pair)})"
            )


# --- groups ---------------------------------------------------------------------------------------------


def _components(images: _Images, out: Mapping[int, str]) -> dict[str, list[int]]:
    """Group name -> rows. Named by its first declared group, or by its bytes where none is declared."""
    links, entries = Links(), images.entries
    kept = [row for row in range(len(entries)) if row not in out]
    for row in kept:
        links.add(entries[row], None, images.like(row))
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row in kept:
        rows_of[links.find(f"digest {entries[row].digest}")].append(row)
    named: dict[str, list[int]] = {}
    for rows in rows_of.values():
        declared = [group for group in (entries[row].group for row in rows) if group is not None]
        name = min(declared) if declared else own_name(entries[rows[0]])
        named[name] = rows
    return named

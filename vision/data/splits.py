"""Every image has one use, and all images of a group have the same.

A group is a connected component of declared groups and of equal bytes. Groups are dealt to the splits class
by class, in the order of a keyed hash of their names, so that neither the order of the files nor a few new
ones move the others. No image changes the split that an earlier assignment gave it; a new image that would
join groups of two splits is quarantined, and so are equal bytes under two labels. What is remembered is bytes
and component, not the declared group: where a new file repeats old bytes under another group, the quarantined
one may be an old image of that group.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from vision.base.errors import DataError, LeakError
from vision.config.data import LeakPolicy, SplitSettings
from vision.data.records import ImageEntry, Manifest, Quarantined, Split, Splits

_PROTECTION = (Split.TEST, Split.CALIBRATION, Split.VALIDATION, Split.TRAIN)
"""Which split keeps its images when two share some; the first is the dearest."""

_FIRST_SERVED = (Split.TRAIN, Split.TEST, Split.VALIDATION, Split.CALIBRATION)
"""Which splits get a group when there are fewer groups than splits."""

Shares = Mapping[Split, float]


def assign_splits(
    manifest: Manifest, settings: SplitSettings, seed: int, previous: Splits | None = None
) -> Splits:
    """Give every group of images its one use.

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
        LeakError: two of the user's trees share images or groups, and `on_leak` is fail.
    """
    entries = manifest.entries
    if not entries:
        raise DataError("The manifest lists no image. Expected at least one. Check dataset.path.")
    out: dict[int, str] = {}
    _quarantine_contradictions(entries, out)
    _separate_trees(entries, settings.on_leak, out)
    trees = frozenset(entry.tree for entry in entries if entry.tree is not None)
    memory = _Memory.of(previous)
    earlier = [_earlier_split(entry, memory, trees) for entry in entries]
    _separate_earlier(entries, earlier, memory, out)
    members = _components(entries, out)
    components = {name: _Component.of(name, rows, entries, earlier) for name, rows in members.items()}
    chosen = _deal(components, trees, settings, seed)
    group_of = {row: name for name, rows in members.items() for row in rows}
    return Splits(
        class_names=manifest.class_names,
        unknown_class_names=manifest.unknown_class_names,
        digests=tuple(entry.digest for entry in entries),
        groups=tuple(group_of.get(row, _own_name(entry)) for row, entry in enumerate(entries)),
        image_classes=tuple(entry.class_name for entry in entries),
        splits=tuple(chosen[group_of[row]] if row in group_of else None for row in range(len(entries))),
        quarantined=tuple(Quarantined(path=entries[row].path, reason=out[row]) for row in sorted(out)),
    )


def _own_name(entry: ImageEntry) -> str:
    """Name of the group of an image that shares its bytes with no other group."""
    return entry.group if entry.group is not None else f"image:{entry.digest}"


# --- what may not stay ----------------------------------------------------------------------------------


def _quarantine_contradictions(entries: Sequence[ImageEntry], out: dict[int, str]) -> None:
    """Equal bytes under two labels: none of them can be trusted."""
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, entry in enumerate(entries):
        rows_of[entry.digest].append(row)
    for rows in rows_of.values():
        labels = sorted({entries[row].class_name for row in rows})
        if len(labels) < 2:
            continue
        for row in rows:
            other = min(
                entries[each].path for each in rows if entries[each].class_name != entries[row].class_name
            )
            out[row] = f"the same bytes carry two labels, {' and '.join(labels)} (also {other})"


@dataclass
class _Links:
    """Union-find over digests and declared groups; a component may carry one label and who brought it."""

    parents: dict[str, str] = field(default_factory=dict)
    labels: dict[str, tuple[Split, str]] = field(default_factory=dict)

    def find(self, key: str) -> str:
        self.parents.setdefault(key, key)
        root = key
        while self.parents[root] != root:
            root = self.parents[root]
        while self.parents[key] != root:
            self.parents[key], key = root, self.parents[key]
        return root

    def join(self, keys: Sequence[str]) -> str:
        first, *others = (self.find(key) for key in keys)
        for other in others:
            self.parents[self.find(other)] = first
        return first

    def add(self, entry: ImageEntry, own: Split | None) -> tuple[tuple[Split, str], tuple[Split, str]] | None:
        """Join what the image links, unless that would join two labels: then the two, and nothing changes."""
        keys = _keys(entry)
        labels = [self.labels[root] for root in map(self.find, keys) if root in self.labels]
        if own is not None:
            labels.append((own, entry.path))
        for label in labels[1:]:
            if label[0] is not labels[0][0]:
                return labels[0], label
        root = self.join(keys)
        if labels:
            self.labels[root] = labels[0]
        return None


def _keys(entry: ImageEntry) -> list[str]:
    digest = f"digest {entry.digest}"
    return [digest] if entry.group is None else [digest, f"group {entry.group}"]


def _separate_trees(entries: Sequence[ImageEntry], on_leak: LeakPolicy, out: dict[int, str]) -> None:
    """Find what the user's trees share; the copy in the less protected tree goes, or the run fails.

    An added image, which lies in no tree, goes quietly where it would join two of them.
    """

    def order(row: int) -> tuple[int, str, str, str]:
        entry = entries[row]
        rank = _PROTECTION.index(entry.tree) if entry.tree is not None else len(_PROTECTION)
        return rank, entry.digest, entry.group or "", entry.path

    links = _Links()
    shared: list[tuple[int, Split, str]] = []
    if all(entry.tree is None for entry in entries):
        return
    for row in sorted((row for row in range(len(entries)) if row not in out), key=order):
        conflict = links.add(entries[row], entries[row].tree)
        if conflict is not None and entries[row].tree is None:
            (first, first_path), (second, second_path) = conflict
            out[row] = (
                f"shares bytes or group with {first_path} of the user's {first} tree and with {second_path} "
                f"of the {second} tree"
            )
        elif conflict is not None:
            split, path = next(label for label in conflict if label[0] is not entries[row].tree)
            shared.append((row, split, path))
    if shared and on_leak is LeakPolicy.FAIL:
        raise LeakError(_describe_shared_trees(entries, shared))
    for row, split, path in shared:
        out[row] = f"shares bytes or group with {path} of the user's {split} tree, which keeps them"


def _describe_shared_trees(entries: Sequence[ImageEntry], shared: Sequence[tuple[int, Split, str]]) -> str:
    row, split, path = min(shared, key=lambda item: entries[item[0]].path)
    tree = entries[row].tree
    count = sum(1 for each in shared if each[1] is split and entries[each[0]].tree is tree)
    noun = "image" if count == 1 else "images"
    others = len(shared) - count
    more = f" Other pairs of trees share {others} more." if others else ""
    return (
        f"Tree {str(split)!r} shares {count} {noun} with {str(tree)!r}, by equal bytes or group "
        f"(first: {entries[row].path}, with {path}).{more} Expected none. "
        "Remove the copies, or set split.on_leak: drop."
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
    return split if entry.tree is None or split in _open_splits(entry.tree, entry.is_unknown, trees) else None


def _separate_earlier(
    entries: Sequence[ImageEntry], earlier: Sequence[Split | None], memory: _Memory, out: dict[int, str]
) -> None:
    """Quarantine what would join two splits of the earlier assignment; the images it knows come first."""

    def order(row: int) -> tuple[int, int, str, str, str]:
        entry, split = entries[row], earlier[row]
        known = memory.images.get(entry.digest)
        tier = 2 if known is None else int(known[1] != _own_name(entry))
        rank = _PROTECTION.index(split) if split is not None else len(_PROTECTION)
        return tier, rank, entry.digest, entry.group or "", entry.path

    links = _Links()
    for row in sorted((row for row in range(len(entries)) if row not in out), key=order):
        conflict = links.add(entries[row], earlier[row])
        if conflict is not None:
            (first, first_path), (second, second_path) = conflict
            own = entries[row].path
            pair = [path for path in (first_path, second_path) if path != own]
            out[row] = (
                f"would join {first} and {second}, which an earlier run kept apart "
                f"(shares bytes or group with {' and '.join(pair)})"
            )


# --- groups ---------------------------------------------------------------------------------------------


def _components(entries: Sequence[ImageEntry], out: Mapping[int, str]) -> dict[str, list[int]]:
    """Group name -> rows. Named by its first declared group, or by its bytes where none is declared."""
    links = _Links()
    kept = [row for row in range(len(entries)) if row not in out]
    for row in kept:
        links.join(_keys(entries[row]))
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row in kept:
        rows_of[links.find(f"digest {entries[row].digest}")].append(row)
    named: dict[str, list[int]] = {}
    for rows in rows_of.values():
        declared = [group for group in (entries[row].group for row in rows) if group is not None]
        name = min(declared) if declared else _own_name(entries[rows[0]])
        named[name] = rows
    return named


@dataclass(frozen=True)
class _Component:
    """A group, as it is dealt.

    Attributes:
        name: of the group.
        stratum: the class that most of its images have.
        is_unknown: it has an image of a held-out class.
        size: number of images.
        tree: the user's tree that it lies in.
        earlier: the split that it had.
    """

    name: str
    stratum: str
    is_unknown: bool
    size: int
    tree: Split | None
    earlier: Split | None

    @staticmethod
    def of(
        name: str, rows: Sequence[int], entries: Sequence[ImageEntry], earlier: Sequence[Split | None]
    ) -> _Component:
        is_unknown = any(entries[row].is_unknown for row in rows)
        counts: dict[str, int] = defaultdict(int)
        for row in rows:
            if entries[row].is_unknown == is_unknown:
                counts[entries[row].class_name] += 1
        kept = [split for split in (earlier[row] for row in rows) if split is not None]
        return _Component(
            name=name,
            stratum=min(counts, key=lambda class_name: (-counts[class_name], class_name)),
            is_unknown=is_unknown,
            size=len(rows),
            tree=next((tree for tree in (entries[row].tree for row in rows) if tree is not None), None),
            earlier=kept[0] if kept else None,
        )


# --- dealing --------------------------------------------------------------------------------------------


def _open_splits(tree: Split | None, is_unknown: bool, trees: frozenset[Split]) -> tuple[Split, ...]:
    """The splits that images of one of the user's trees may go to; `trees` are those that hold images.

    An image of no tree may go anywhere: beside trees, it is of an addition.
    """
    if tree is not None and tree is not Split.TRAIN:
        return (tree,)
    if is_unknown:
        return Split.VALIDATION, Split.TEST
    if tree is None:
        return tuple(Split)
    return tuple(split for split in Split if split is Split.TRAIN or split not in trees)


def _deal(
    components: Mapping[str, _Component], trees: frozenset[Split], settings: SplitSettings, seed: int
) -> dict[str, Split]:
    """Split of every group, class by class and tree by tree."""
    strata: dict[tuple[bool, str, str], list[_Component]] = defaultdict(list)
    for component in components.values():
        strata[component.is_unknown, component.stratum, component.tree or ""].append(component)
    chosen: dict[str, Split] = {}
    for stratum in strata.values():
        shares = _shares(stratum[0], trees, settings)
        ordered = sorted(stratum, key=_by_keyed_hash(seed))
        chosen.update(_deal_stratum(ordered, shares))
    return chosen


def _by_keyed_hash(seed: int) -> Callable[[_Component], tuple[bytes, str]]:
    key = seed.to_bytes(8, "big")

    def order(component: _Component) -> tuple[bytes, str]:
        name = component.name.encode("utf-8", "surrogateescape")
        return hashlib.blake2b(name, key=key, digest_size=8).digest(), component.name

    return order


def _shares(component: _Component, trees: frozenset[Split], settings: SplitSettings) -> Shares:
    """The shares in which groups like this one are dealt; they add up to 1."""
    open_splits = _open_splits(component.tree, component.is_unknown, trees)
    if component.is_unknown:
        return dict.fromkeys(open_splits, 1 / len(open_splits))
    wanted = {
        Split.TRAIN: settings.train,
        Split.VALIDATION: settings.validation,
        Split.CALIBRATION: settings.calibration,
        Split.TEST: settings.test,
    }
    total = sum(wanted[split] for split in open_splits)
    return {split: wanted[split] / total for split in open_splits}


def _deal_stratum(ordered: Sequence[_Component], shares: Shares) -> dict[str, Split]:
    """Deal the groups of one class: those with an earlier split keep it, the others fill what is missing."""
    chosen = {each.name: each.earlier for each in ordered if each.earlier is not None}
    new = [each for each in ordered if each.earlier is None]
    total = sum(each.size for each in ordered)
    present = dict.fromkeys(Split, 0)
    for each in ordered:
        if each.earlier is not None:
            present[each.earlier] += each.size
    missing = {split: max(0.0, share * total - present[split]) for split, share in shares.items()}
    empty = [split for split in _FIRST_SERVED if split in shares and present[split] == 0][: len(new)]
    return chosen | _cut(new, missing, empty)


def _cut(ordered: Sequence[_Component], missing: Shares, empty: Sequence[Split]) -> dict[str, Split]:
    """Cut the ordered groups into one run per split, as long as what the split is missing.

    A group belongs to the run that its middle image falls into. Cutting keeps most groups in place when
    others come in between. Every split of `empty` receives at least one group.
    """
    splits = [split for split in Split if missing.get(split, 0.0) > 0 or split in empty]
    if not ordered or not splits:
        return {}
    scale = sum(each.size for each in ordered) / sum(missing[split] for split in splits)
    ends, end = {}, 0.0
    for split in splits:
        end += missing[split] * scale
        ends[split] = end
    chosen: dict[str, Split] = {}
    position, dealt, in_run = 0, 0.0, 0
    for index, component in enumerate(ordered):
        middle = dealt + component.size / 2
        while position < len(splits) - 1:
            needed_after = sum(split in empty for split in splits[position + 1 :])
            must_leave = len(ordered) - index <= needed_after
            may_leave = in_run > 0 or splits[position] not in empty
            if not must_leave and (middle <= ends[splits[position]] or not may_leave):
                break
            position, in_run = position + 1, 0
        chosen[component.name] = splits[position]
        dealt += component.size
        in_run += 1
    return chosen

"""Groups are dealt to the splits class by class, in the order of a keyed hash of their names."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vision.config.data import SplitSettings
from vision.data.records import ImageEntry, Split

_FIRST_SERVED = (Split.TRAIN, Split.TEST, Split.VALIDATION, Split.CALIBRATION)
"""Which splits get a group when there are fewer groups than splits."""

Shares = Mapping[Split, float]


@dataclass(frozen=True)
class Component:
    """A group, as it is dealt.

    Attributes:
        name: of the group.
        stratum: the class that most of its images have.
        is_unknown: it has an image of a held-out class.
        size: number of images.
        tree: the user's tree that it lies in; None where it lies in none, or in several
            (split.on_leak: move).
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
    ) -> Component:
        """The group of some rows."""
        is_unknown = any(entries[row].is_unknown for row in rows)
        counts: dict[str, int] = defaultdict(int)
        for row in rows:
            if entries[row].is_unknown == is_unknown:
                counts[entries[row].class_name] += 1
        trees = {entries[row].tree for row in rows} - {None}
        kept = [split for split in (earlier[row] for row in rows) if split is not None]
        return Component(
            name=name,
            stratum=min(counts, key=lambda class_name: (-counts[class_name], class_name)),
            is_unknown=is_unknown,
            size=len(rows),
            tree=next(iter(trees)) if len(trees) == 1 else None,
            earlier=kept[0] if kept else None,
        )


def open_splits(tree: Split | None, is_unknown: bool, trees: frozenset[Split]) -> tuple[Split, ...]:
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


def deal(
    components: Mapping[str, Component], trees: frozenset[Split], settings: SplitSettings, seed: int
) -> dict[str, Split]:
    """Split of every group, class by class and tree by tree."""
    strata: dict[tuple[bool, str, str], list[Component]] = defaultdict(list)
    for component in components.values():
        strata[component.is_unknown, component.stratum, component.tree or ""].append(component)
    chosen: dict[str, Split] = {}
    for stratum in strata.values():
        shares = _shares(stratum[0], trees, settings)
        ordered = sorted(stratum, key=_by_keyed_hash(seed))
        chosen.update(_deal_stratum(ordered, shares))
    return chosen


def _by_keyed_hash(seed: int) -> Callable[[Component], tuple[bytes, str]]:
    key = seed.to_bytes(8, "big")

    def order(component: Component) -> tuple[bytes, str]:
        name = component.name.encode("utf-8", "surrogateescape")
        return hashlib.blake2b(name, key=key, digest_size=8).digest(), component.name

    return order


def _shares(component: Component, trees: frozenset[Split], settings: SplitSettings) -> Shares:
    """The shares in which groups like this one are dealt; they add up to 1."""
    allowed = open_splits(component.tree, component.is_unknown, trees)
    if component.is_unknown:
        return dict.fromkeys(allowed, 1 / len(allowed))
    wanted = {
        Split.TRAIN: settings.train,
        Split.VALIDATION: settings.validation,
        Split.CALIBRATION: settings.calibration,
        Split.TEST: settings.test,
    }
    total = sum(wanted[split] for split in allowed)
    return {split: wanted[split] / total for split in allowed}


def _deal_stratum(ordered: Sequence[Component], shares: Shares) -> dict[str, Split]:
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


def _cut(ordered: Sequence[Component], missing: Shares, empty: Sequence[Split]) -> dict[str, Split]:
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

"""Groups are dealt to the splits class by class, in the order of a keyed hash of their names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vision.base.columns.column import Column
from vision.base.columns.rows import Rows
from vision.base.record import IntArray
from vision.config.data import SplitSettings
from vision.data.groups.components import Mask, first_rows
from vision.data.records import ImageEntry, Split

_FIRST_SERVED = (Split.TRAIN, Split.TEST, Split.VALIDATION, Split.CALIBRATION)
"""Which splits get a group when there are fewer groups than splits."""

SPLITS = tuple(Split)
"""Numbered so in arrays of splits; -1 is none."""

Shares = Mapping[Split, float]


@dataclass(frozen=True, eq=False)
class Components:
    """The k groups of images, as they are dealt.

    Attributes:
        strata: (k,) the number of the class that most of a group's images have.
        are_unknown: (k,) it has an image of a held-out class.
        sizes: (k,) number of images.
        trees: (k,) the number of the user's tree that it lies in; -1 where it lies in none, or in several
            (split.on_leak: move).
        earlier: (k,) the number of the split that it had; -1 where it had none.
    """

    names: Column[str]
    strata: IntArray
    are_unknown: Mask
    sizes: IntArray
    trees: IntArray
    earlier: IntArray

    @staticmethod
    def of(
        names: Column[str], components: IntArray, entries: Rows[ImageEntry], earlier: IntArray
    ) -> Components:
        """The groups of some rows.

        `components` (n,) is the number of each group, -1 of a row that is left out; `earlier` (n,) the number
        of the split that each had, -1 for none.
        """
        kept = np.flatnonzero(components >= 0)
        own, num = components[kept], len(names)
        unknown = entries.column("is_unknown").numbers()[kept]
        are_unknown = np.bincount(own[unknown], minlength=num) > 0
        trees = number_splits(entries.column("tree"))[kept]
        low, high = np.full(num, len(SPLITS)), np.full(num, -1)
        np.minimum.at(low, own[trees >= 0], trees[trees >= 0])
        np.maximum.at(high, own, trees)
        had = np.full(num, -1)
        first = first_rows(np.where(earlier[kept] >= 0, own, -1))
        had[own[first]] = earlier[kept][first]
        counts = unknown == are_unknown[own]
        classes, class_names = entries.column("class_name").codes()
        strata = _find_commonest(own[counts], classes[kept][counts], class_names, num)
        sizes = np.bincount(own, minlength=num)
        return Components(names, strata, are_unknown, sizes, np.where(low == high, low, -1), had)


def number_splits(column: Column[Split | None]) -> IntArray:
    """The number in `SPLITS` of each of n splits, shape (n,); -1 for None."""
    codes, names = column.codes()
    numbers = np.array([*(SPLITS.index(name) if name is not None else -1 for name in names), -1])
    return np.asarray(numbers[codes])


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


def deal(components: Components, trees: frozenset[Split], settings: SplitSettings, seed: int) -> IntArray:
    """The number of the split of each group, shape (k,), class by class and tree by tree."""
    if not components.names:  # every image is left out: the checks say why
        return np.empty(0, np.int64)
    order = np.argsort(_hash_all(components.names, seed), kind="stable")
    kinds = components.strata * 2 + components.are_unknown
    keys = kinds * (len(SPLITS) + 1) + components.trees + 1
    _, firsts, places = np.unique(keys[order], return_index=True, return_inverse=True)
    ordered = order[np.argsort(places, kind="stable")]
    chosen = np.full(len(order), -1)
    for first, rows in zip(
        order[firsts], np.split(ordered, np.cumsum(np.bincount(places))[:-1]), strict=True
    ):
        tree = components.trees[first]
        is_unknown = bool(components.are_unknown[first])
        shares = _shares(SPLITS[tree] if tree >= 0 else None, is_unknown, trees, settings)
        chosen[rows] = _deal_stratum(components.sizes[rows], components.earlier[rows], shares)
    return chosen


def _find_commonest(groups: IntArray, classes: IntArray, names: Iterable[str], num: int) -> IntArray:
    """The class that most rows of each of `num` groups have, the first by name of several; (num,)."""
    by_name = np.argsort(np.array(list(names), dtype=np.str_), kind="stable")
    ranks = np.argsort(by_name)
    pairs, counts = np.unique(groups * len(ranks) + ranks[classes], return_counts=True)
    own, rank = np.divmod(pairs, max(len(ranks), 1))
    order = np.lexsort((rank, -counts, own))
    found = np.full(num, -1)
    firsts = order[np.unique(own[order], return_index=True)[1]]
    found[own[firsts]] = by_name[rank[firsts]]
    return found


def _hash_all(names: Iterable[str], seed: int) -> IntArray:
    """A number for each name that depends on it and the seed alone, shape (k,)."""
    key = seed.to_bytes(8, "big")
    hashes = (hashlib.blake2b(name.encode(), key=key, digest_size=8).digest() for name in names)
    return np.frombuffer(b"".join(hashes), ">u8").astype(np.uint64)


def _shares(tree: Split | None, is_unknown: bool, trees: frozenset[Split], settings: SplitSettings) -> Shares:
    """The shares in which groups of a tree are dealt; they add up to 1."""
    allowed = open_splits(tree, is_unknown, trees)
    if is_unknown:
        return dict.fromkeys(allowed, 1 / len(allowed))
    wanted = {
        Split.TRAIN: settings.train,
        Split.VALIDATION: settings.validation,
        Split.CALIBRATION: settings.calibration,
        Split.TEST: settings.test,
    }
    total = sum(wanted[split] for split in allowed)
    return {split: wanted[split] / total for split in allowed}


def _deal_stratum(sizes: IntArray, earlier: IntArray, shares: Shares) -> IntArray:
    """Deal the ordered groups of one class: with an earlier split, or to fill what is missing."""
    new = np.flatnonzero(earlier < 0)
    present = dict.fromkeys(Split, 0) | {
        split: int(sizes[earlier == number].sum()) for number, split in enumerate(SPLITS)
    }
    total = int(sizes.sum())
    missing = {split: max(0.0, share * total - present[split]) for split, share in shares.items()}
    empty = [split for split in _FIRST_SERVED if split in shares and present[split] == 0][: len(new)]
    chosen = earlier.copy()
    chosen[new] = _cut(sizes[new].tolist(), missing, empty)
    return chosen


def _cut(sizes: Sequence[int], missing: Shares, empty: Sequence[Split]) -> list[int]:
    """Cut groups of some sizes, in their order, into one run per split, as long as what the split is missing.

    A group belongs to the run that its middle image falls into. Cutting keeps most groups in place when
    others come in between. Every split of `empty` receives at least one group.
    """
    splits = [split for split in Split if missing.get(split, 0.0) > 0 or split in empty]
    if not sizes or not splits:
        return [-1] * len(sizes)
    scale = sum(sizes) / sum(missing[split] for split in splits)
    ends = np.cumsum([missing[split] * scale for split in splits]).tolist()
    must_have = [split in empty for split in splits]
    needed_after = [sum(must_have[position + 1 :]) for position in range(len(splits))]
    numbers = [SPLITS.index(split) for split in splits]
    chosen: list[int] = []
    position, dealt, in_run = 0, 0.0, 0
    for index, size in enumerate(sizes):
        middle = dealt + size / 2
        while position < len(splits) - 1:
            must_leave = len(sizes) - index <= needed_after[position]
            may_leave = in_run > 0 or not must_have[position]
            if not must_leave and (middle <= ends[position] or not may_leave):
                break
            position, in_run = position + 1, 0
        chosen.append(numbers[position])
        dealt += size
        in_run += 1
    return chosen

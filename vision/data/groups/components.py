"""Groups of images as numbers: what equal bytes, declared groups and likeness link, over all rows at once.

`vision/data/groups/links.py` links image by image, and refuses what would join two labels; it is asked only
about components that hold two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision.base.columns.column import Column
from vision.base.record import IntArray
from vision.data.records import ImageEntry, Manifest

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Linked:
    """What links n images.

    Attributes:
        digests: (n,) a number for the bytes.
        digest_names: names of these.
        groups: (n,) a number for the declared group; -1 where there is none.
        group_names: names of these.
        pairs: (m, 2) rows that look alike.
    """

    digests: IntArray
    digest_names: Column[str]
    groups: IntArray
    group_names: Column[str]
    pairs: IntArray

    @staticmethod
    def of(manifest: Manifest) -> Linked:
        """What links the images of a manifest."""
        digests, digest_names = manifest.entries.column("digest").codes()
        groups, group_names = manifest.entries.column("group").codes()
        return Linked(digests, digest_names, groups, group_names, manifest.alike.numbers())

    def within(self, trees: IntArray, names: list[str]) -> Linked:
        """The same, with bytes, groups and likeness that count within one tree only; `trees` is (n,)."""
        digests, digest_names = _split_codes(self.digests, self.digest_names, trees, names)
        groups, group_names = _split_codes(self.groups, self.group_names, trees, names)
        same = trees[self.pairs[:, 0]] == trees[self.pairs[:, 1]]
        return Linked(digests, digest_names, groups, group_names, self.pairs[same])

    def components(self, kept: Mask) -> IntArray:
        """The number, from 0, of the component of each row (n,), by the first row of each; -1 if not kept.

        A row that is not kept links nothing, unless a kept row before what looks like it has its bytes.
        """
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        num = len(self.digest_names)
        rows = np.flatnonzero(kept)[::-1]
        first_with = np.full(num, len(kept))
        first_with[self.digests[rows]] = rows
        grouped = kept & (self.groups >= 0)
        ends = self.digests[self.pairs]
        before = first_with[ends[:, ::-1]] < self.pairs
        linked = (kept[self.pairs] & before).any(axis=1) | kept[self.pairs].all(axis=1)
        first = np.concatenate([self.digests[grouped], ends[linked, 0]])
        second = np.concatenate([num + self.groups[grouped], ends[linked, 1]])
        size = num + len(self.group_names)
        graph = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(size, size))
        found = connected_components(graph, directed=False)[1][self.digests]
        return _number_by_first(np.where(kept, found, -1))

    def name_all(self, components: IntArray) -> Column[str]:
        """The name of each component: its first declared group by name, else that of its bytes."""
        rows = first_rows(components)
        order = np.empty(len(self.group_names), np.int64)
        ranked = sort_texts(self.group_names)
        order[ranked] = np.arange(len(ranked))
        least = np.full(len(rows), len(ranked))
        grouped = (components >= 0) & (self.groups >= 0)
        np.minimum.at(least, components[grouped], order[self.groups[grouped]])
        codes = np.append(ranked, -1)[least]
        return self._names(codes, self.digests[rows])

    def own_names(self, rows: IntArray) -> Column[str]:
        """For each of some rows the name of the group of an image that shares its bytes with no other."""
        return self._names(self.groups[rows], self.digests[rows])

    def _names(self, groups: IntArray, digests: IntArray) -> Column[str]:
        """The group's name where there is one (not negative), else that of the bytes; both (m,)."""
        import pyarrow as pa
        import pyarrow.compute as pc

        alone = groups < 0
        numbers, places = np.unique(digests[alone], return_inverse=True)
        ends = pa.scalar("image:", pa.large_string()), pa.scalar("", pa.large_string())
        images = pc.binary_join_element_wise(ends[0], self.digest_names.take(numbers).texts(), ends[1])
        used, own = np.unique(groups[~alone], return_inverse=True)
        texts = pa.concat_arrays([self.group_names.take(used).texts(), images])
        codes = np.empty(len(groups), np.int64)
        codes[~alone], codes[alone] = own, len(used) + places
        return Column.numbered(str, codes, Column.from_texts(texts))


def own_name(entry: ImageEntry) -> str:
    """Name of the group of an image that shares its bytes with no other group."""
    return entry.group if entry.group is not None else f"image:{entry.digest}"


def hold_several(numbers: IntArray, labels: IntArray) -> Mask:
    """Which rows (n,) are of a number that has two different labels; negative ones of either do not count."""
    counted = (numbers >= 0) & (labels >= 0)
    size = int(labels.max(initial=0)) + 1
    own = np.unique(numbers[counted] * size + labels[counted]) // size
    several = own[:-1][own[1:] == own[:-1]]
    return np.isin(numbers, several)


def first_rows(numbers: IntArray) -> IntArray:
    """The first row of each number from 0 on; `numbers` (n,) may be negative, which is none."""
    rows = np.flatnonzero(numbers >= 0)
    return rows[np.unique(numbers[rows], return_index=True)[1]]


def sort_texts(texts: Column[str]) -> IntArray:
    """The places of texts in their order."""
    import pyarrow.compute as pc

    return np.asarray(pc.sort_indices(texts.texts()).to_numpy().astype(np.int64))


def _split_codes(
    codes: IntArray, names: Column[str], trees: IntArray, tree_names: list[str]
) -> tuple[IntArray, Column[str]]:
    """Numbers of (code, tree), and their names with the tree's; a negative code stays."""
    import pyarrow as pa
    import pyarrow.compute as pc

    num = len(tree_names)
    numbers, places = np.unique(codes * num + trees, return_inverse=True)
    start = int(np.searchsorted(numbers, 0))
    own, of_tree = np.divmod(numbers[start:], num)
    tails = pa.array([f"@{tree_names[each]}" for each in of_tree], pa.large_string())
    found = pc.binary_join_element_wise(names.take(own).texts(), tails, pa.scalar("", pa.large_string()))
    return np.maximum(places - start, -1), Column.from_texts(found)


def _number_by_first(numbers: IntArray) -> IntArray:
    """Numbers (n,) anew from 0 on, in the order in which they come first; a negative one is -1."""
    found = np.full(len(numbers), -1)
    rows = np.flatnonzero(numbers >= 0)
    _, firsts, places = np.unique(numbers[rows], return_index=True, return_inverse=True)
    ranks = np.empty(len(firsts), np.int64)
    ranks[np.argsort(firsts)] = np.arange(len(firsts))
    found[rows] = ranks[places]
    return found

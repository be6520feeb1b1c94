"""What an earlier assignment knows of images: by their bytes, or else by a declared group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vision.base.columns.column import Column
from vision.base.columns.rows import Rows
from vision.base.record import IntArray
from vision.data.records import ImageEntry, Split, Splits
from vision.data.splitting.dealing import SPLITS, number_splits, open_splits


@dataclass(frozen=True, eq=False)
class Earlier:
    """What n images had.

    Attributes:
        splits: (n,) number of the split that each had and may keep; -1 where there is none.
        rows: (n,) row of each, by its bytes, in the earlier assignment; -1 where it is not known.
        groups: of the rows of the earlier assignment.
    """

    splits: IntArray
    rows: IntArray
    groups: Column[str]

    @staticmethod
    def of(entries: Rows[ImageEntry], previous: Splits | None, trees: frozenset[Split]) -> Earlier:
        """What an earlier assignment knows of the images; `trees` are the user's that hold some.

        An image whose class has been held out since, or is no longer, keeps nothing.
        """
        if previous is None:
            none = np.full(len(entries), -1)
            return Earlier(none, none, Column.of(str, ()))
        codes, digests = previous.digests.codes()
        rows = _last_rows(codes, len(digests), previous)[entries.column("digest").find_in(digests)]
        splits = _find_splits(entries, rows, previous)
        kept = _may_keep(entries, splits, trees)
        return Earlier(np.where(kept, splits, -1), rows, previous.groups)


def _find_splits(entries: Rows[ImageEntry], rows: IntArray, previous: Splits) -> IntArray:
    """The number (n,) of the split that each image had, by its row or else by its group; -1 for none."""
    unknown = previous.image_classes.are_in(previous.unknown_class_names)
    held_out = np.append(unknown, False)  # the last is none
    codes, names = previous.groups.codes()
    group_held_out = np.zeros(len(names) + 1, dtype=bool)
    group_held_out[codes[previous.used_as() & unknown]] = True
    declared, groups = entries.column("group").codes()
    places = np.append(groups.find_in(names), -1)[declared]
    last = _last_rows(codes, len(names), previous)[places]
    was_unknown = np.where(rows >= 0, held_out[rows], group_held_out[places])
    same = was_unknown == entries.column("is_unknown").numbers()
    found = np.where(rows >= 0, rows, last)
    return np.where(same, np.append(number_splits(previous.splits), -1)[found], -1)


def _may_keep(entries: Rows[ImageEntry], splits: IntArray, trees: frozenset[Split]) -> IntArray:
    """Whether the user's tree that each image lies in lets it have its split, shape (n,)."""
    allowed = np.ones((len(SPLITS) + 1, 2, len(SPLITS)), dtype=bool)  # the last tree is none
    for tree, is_unknown, split in np.ndindex(len(SPLITS), 2, len(SPLITS)):
        allowed[tree, is_unknown, split] = SPLITS[split] in open_splits(SPLITS[tree], bool(is_unknown), trees)
    unknown = entries.column("is_unknown").numbers().astype(np.int64)
    return np.asarray(allowed[number_splits(entries.column("tree")), unknown, splits])


def _last_rows(codes: IntArray, num: int, previous: Splits) -> IntArray:
    """The last row in use of each of `num` codes, shape (num + 1,); -1 for none, and at the end."""
    used = np.flatnonzero(previous.used_as())
    last = np.full(num + 1, -1)
    last[codes[used]] = used
    return last

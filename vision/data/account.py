"""What became of the files of a source: what is left out, of which class, and what else was found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vision.base.wording import count_of
from vision.data.records import Manifest, Quarantined, Split, Splits

MUCH = 0.1
"""Share of a class's files that, left out, is told of the class by its name."""

_MOST_KINDS = 4


@dataclass(frozen=True)
class Loss:
    """Files of one class that are left out."""

    class_name: str
    num_lost: int
    num_files: int

    @property
    def share(self) -> float:
        """Of the class's files."""
        return self.num_lost / self.num_files


def list_left_out(manifest: Manifest, splits: Splits | None) -> tuple[Quarantined, ...]:
    """Every file that is left out, when it was read and when it was dealt to the splits."""
    return (*manifest.quarantined, *(splits.quarantined if splits is not None else ()))


def count_losses(manifest: Manifest, splits: Splits | None = None) -> list[Loss]:
    """The classes that lose files, the largest share first."""
    unread = Counter(item.class_name for item in manifest.quarantined if item.class_name)
    read = manifest.entries.column("class_name").tally()
    lost = Counter(item.class_name for item in list_left_out(manifest, splits) if item.class_name)
    losses = [Loss(name, count, read[name] + unread[name]) for name, count in lost.items()]
    return sorted(losses, key=lambda loss: (-loss.share, loss.class_name))


def count_uses(splits: Splits) -> dict[tuple[str, Split], tuple[int, int]]:
    """Images and groups by class and split, of those that have any."""
    classes, names = splits.image_classes.codes()
    uses, kinds = splits.splits.codes()
    groups, group_names = splits.groups.codes()
    used = np.flatnonzero(uses >= 0)
    numbers = classes[used] * len(kinds) + uses[used]
    keys, num_images = np.unique(numbers, return_counts=True)
    pairs = np.unique(numbers * len(group_names) + groups[used])
    num_groups = np.bincount(np.searchsorted(keys, pairs // len(group_names)), minlength=len(keys))
    known, named = list(names), [each for each in kinds if each is not None]
    return {
        (known[key // len(named)], named[key % len(named)]): (images, of_groups)
        for key, images, of_groups in zip(
            keys.tolist(), num_images.tolist(), num_groups.tolist(), strict=True
        )
    }


class SplitSize(NamedTuple):
    """What one split holds, of known classes and of those that are held out."""

    num_images: int
    num_groups: int
    num_unknown_images: int
    num_unknown_groups: int


def size_splits(splits: Splits) -> dict[str, SplitSize]:
    """Split -> what it holds."""
    found = {}
    for split in Split:
        known, unknown = splits.rows(split), splits.rows(split, unknown=True)
        of_groups = splits.num_groups(known), splits.num_groups(unknown)
        found[split.value] = SplitSize(len(known), of_groups[0], len(unknown), of_groups[1])
    return found


def tell_files(manifest: Manifest, splits: Splits | None = None) -> tuple[str, ...]:
    """A sentence for what is left out, one for every class that loses much, one for every remark."""
    return (*_tell_left_out(manifest, splits), *tell_remarks(manifest))


def kind_of(reason: str) -> str:
    """A reason without what differs from file to file."""
    return re.split(r" \(|[:;]", reason, maxsplit=1)[0]


def count_kinds(left_out: tuple[Quarantined, ...]) -> Counter[str]:
    """Files that are left out by the kind of the reason."""
    return Counter(kind_of(item.reason) for item in left_out)


def _tell_left_out(manifest: Manifest, splits: Splits | None) -> Iterator[str]:
    left_out = list_left_out(manifest, splits)
    if not left_out:
        return
    num_files = len(manifest.entries) + len(manifest.quarantined)
    kinds = count_kinds(left_out)
    listed = [f"{count}: {kind}" for kind, count in kinds.most_common(_MOST_KINDS)]
    more = len(kinds) - _MOST_KINDS
    reasons = "; ".join([*listed, *([count_of(more, "more reason")] if more > 0 else [])])
    yield f"Left out: {len(left_out)} of {num_files} files ({reasons}; first: {left_out[0].path})."
    for loss in count_losses(manifest, splits):
        if loss.share > MUCH:
            yield (
                f"Class {loss.class_name} loses {loss.num_lost} of its {loss.num_files} files, "
                f"{loss.share:.0%}."
            )


def tell_remarks(manifest: Manifest) -> Iterator[str]:
    """A sentence for every remark on the files that are used, or that are no images."""
    yield from (remark.tell() for remark in manifest.remarks)

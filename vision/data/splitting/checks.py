"""Refuses data with too few images or groups before anything is trained, with every reason at once.

The leak check does not trust the assignment: it looks at bytes, likeness and declared groups anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from vision.base.errors import DataError, LeakError, TooFewImagesError
from vision.base.record import IntArray
from vision.base.wording import count_of
from vision.config.data import CheckSettings
from vision.data.account import count_kinds, count_losses, count_uses, kind_of, list_left_out
from vision.data.groups.components import hold_several
from vision.data.label_corrections import EXCLUDED
from vision.data.records import Manifest, Split, Splits
from vision.data.splitting.dealing import SPLITS, number_splits

_MOST_LISTED = 12


def check_splits(manifest: Manifest, splits: Splits, settings: CheckSettings) -> None:
    """Refuse splits that cannot be trained on, calibrated on and judged on.

    Raises:
        DataError: the splits are of other images, or too large a share of the files is quarantined; images
            that a person excluded do not count.
        TooFewImagesError: fewer than two classes; a class with too few images or groups, or with none in one
            of the splits. All faults are listed.
        LeakError: two splits share bytes or a group.
    """
    if splits.digests != manifest.entries.column("digest"):
        raise DataError(
            f"The splits assign {len(splits.digests)} images that are not the {len(manifest.entries)} of the "
            "manifest. Expected one row for each image, in its order. Split this manifest again."
        )
    _check_quarantine(_without_excluded(manifest), splits, settings.max_quarantined)
    faults = list(_count_faults(splits, settings))
    if faults:
        listed = faults[:_MOST_LISTED]
        more = len(faults) - len(listed)
        rest = [f"... and {more} more such faults."] if more else []
        raise TooFewImagesError("\n".join([*listed, *rest]))
    check_leaks(manifest, splits)


def check_leaks(manifest: Manifest, splits: Splits) -> None:
    """Refuse splits that share bytes, a group or pictures that look alike.

    What the user's own trees share and were told to keep (`kept_leaks`) is let pass.

    Raises:
        LeakError: names the pair, the number of images and the first of them.
    """
    shared: dict[tuple[Split, Split], set[int]] = defaultdict(set)
    for rows, marks in _list_marks(manifest, splits):
        for by_split in _find_shared(splits, rows, marks):
            present = [split for split in reversed(Split) if split in by_split]
            for index, first in enumerate(present):
                for second in present[index + 1 :]:
                    shared[first, second].update(by_split[first])
    paths = manifest.entries.column("path")
    if shared:
        told = ((pair, sorted(paths[row] for row in rows)) for pair, rows in shared.items())
        raise LeakError("\n".join(_describe_leak(*pair, found) for pair, found in told))


def _list_marks(manifest: Manifest, splits: Splits) -> Iterator[tuple[IntArray, IntArray]]:
    """Rows (m,) and numbers (m,) of what links them: bytes, a group, a pair that looks alike.

    Where leaks of the user's own trees are kept, what links images of two trees does not count.
    """
    rows = np.arange(len(splits.digests))
    trees = number_splits(manifest.entries.column("tree")) + 1 if splits.kept_leaks else 0 * rows
    bytes_, _ = splits.digests.codes()
    named, names = splits.groups.codes()
    declared, groups = manifest.entries.column("group").codes()
    places = groups.find_in(names)
    places = np.append(np.where(places < 0, len(names) + np.arange(len(places)), places), -1)
    pairs = manifest.alike.numbers()
    both = np.stack([np.arange(len(pairs))] * 2, axis=1).ravel()
    by_group = np.concatenate([rows, rows]), np.concatenate([named, places[declared]])
    for of, marks in ((rows, bytes_), by_group, (pairs.ravel(), both)):
        known = marks >= 0
        yield of[known], marks[known] * (len(Split) + 1) + trees[of[known]]


def _find_shared(splits: Splits, rows: IntArray, marks: IntArray) -> Iterator[dict[Split, list[int]]]:
    """For each mark that images of two splits have, the rows of each split; `rows` and `marks` are (m,)."""
    numbers = number_splits(splits.splits)
    doubtful = np.flatnonzero(hold_several(marks, numbers[rows]) & (numbers[rows] >= 0))
    found: dict[int, dict[Split, list[int]]] = defaultdict(lambda: defaultdict(list))
    for mark, row in zip(marks[doubtful].tolist(), rows[doubtful].tolist(), strict=True):
        found[mark][SPLITS[numbers[row]]].append(row)
    yield from found.values()


def _describe_leak(first: Split, second: Split, paths: Sequence[str]) -> str:
    shared = count_of(len(paths), "image")
    return (
        f"Split {str(first)!r} shares {shared} with {str(second)!r}, by equal bytes, group or likeness "
        f"(first: {paths[0]}). Expected none. Remove the copies, or set dataset.group_by so that the "
        "split knows the groups."
    )


def _without_excluded(manifest: Manifest) -> Manifest:
    """The manifest without the images that a person excluded: they are usable, and left out on purpose."""
    kept = tuple(item for item in manifest.quarantined if kind_of(item.reason) != EXCLUDED)
    return manifest.model_copy(update={"quarantined": kept})


def _check_quarantine(manifest: Manifest, splits: Splits, largest_share: float) -> None:
    left_out = list_left_out(manifest, splits)
    num_files = len(manifest.entries) + len(manifest.quarantined)
    if len(left_out) <= largest_share * num_files:
        _check_lost_classes(manifest, splits, largest_share)
        return
    joining = [item for item in left_out if item.reason.startswith("would join ")]
    if 2 * len(joining) > len(left_out):
        raise DataError(
            f"{len(joining)} of {num_files} files would join splits that the champion's run kept apart "
            f"(first: {joining[0].path}: {joining[0].reason}). Expected at most {largest_share:.0%} to be "
            "left out. The grouping has changed since that run, whose splits are kept. Give the data set "
            "another `name`, under which it is split anew, or go back to the dataset.group_by of that run."
        )
    reasons = count_kinds(left_out).most_common(3)
    listed = "; ".join(f"{count} x {reason}" for reason, count in reasons)
    raise DataError(
        f"{len(left_out)} of {num_files} files cannot be used ({listed}; first: {left_out[0].path}: "
        f"{left_out[0].reason}). Expected at most {largest_share:.0%}. Repair or remove them, raise "
        "checks.max_quarantined, or use damaged pictures as far as they go (dataset.keep_damaged: true)."
    )


def _check_lost_classes(manifest: Manifest, splits: Splits, largest_share: float) -> None:
    """Refuse if too many classes lose most of their files, however few these are of all."""
    lost = [loss for loss in count_losses(manifest, splits) if loss.share > 0.5]
    num_classes = len({*splits.class_names, *splits.unknown_class_names})
    if len(lost) <= largest_share * num_classes:
        return
    left_out = list_left_out(manifest, splits)
    first = next(item for item in left_out if item.class_name == lost[0].class_name)
    listed = ", ".join(
        f"{loss.class_name} {loss.num_lost} of {loss.num_files}" for loss in lost[:_MOST_LISTED]
    )
    raise DataError(
        f"{len(lost)} of {num_classes} classes lose most of their files: {listed} (first: {first.path}: "
        f"{first.reason}). Expected at most {largest_share:.0%} of the classes to. Repair the files, leave "
        "the class out (dataset.skip_folders), or raise checks.max_quarantined."
    )


def _count_faults(splits: Splits, settings: CheckSettings) -> Iterator[str]:
    """Everything that is too few, each fault with the classes that have it."""
    if len(splits.class_names) < 2:
        yield (
            f"There is {len(splits.class_names)} known class. Expected at least two. Add class folders, or "
            "hold fewer classes out (dataset.unknown_classes)."
        )
    counts, faults = count_uses(splits), defaultdict[str, list[str]](list)
    for name in splits.class_names:
        own = {split: counts[name, split] for split in Split if (name, split) in counts}
        num_images, num_groups = (sum(each[place] for each in own.values()) for place in (0, 1))
        fault = _class_fault(num_images, num_groups, set(own), settings)
        if fault is not None:
            faults[fault].append(name)
    for fault, names in faults.items():
        more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
        listed = ", ".join(map(repr, names[:_MOST_LISTED]))
        yield f"Class {listed} {fault}" if len(names) == 1 else f"Classes {listed}{more}: each {fault}"


def _class_fault(
    num_images: int, num_groups: int, present: set[Split], settings: CheckSettings
) -> str | None:
    if num_images < settings.min_images_per_class:
        noun = count_of(num_images, "usable image")
        lacks_groups = num_groups < min(num_images, settings.min_groups_per_class)
        groups = f" of {count_of(num_groups, 'group')}" if lacks_groups else ""
        least = f" of {settings.min_groups_per_class} groups (checks.min_groups_per_class)" if groups else ""
        return (
            f"has {noun}{groups}. Expected at least {settings.min_images_per_class} "
            f"(checks.min_images_per_class){least}. Add images, or remove the class."
        )
    if num_groups < settings.min_groups_per_class:
        return (
            f"has {count_of(num_groups, 'group')} of images. "
            f"Expected at least {settings.min_groups_per_class} (checks.min_groups_per_class), one for each "
            "split. Add images of other individuals or sources; "
            "if dataset.group_by finds too little in the file names, correct it; "
            "if the column of a table is no group, write dataset: {group_column: null}."
        )
    absent = [str(split) for split in Split if split not in present]
    if absent:
        return (
            f"has no image in {', '.join(absent)}. Expected some in every split. Add images (to your own "
            "trees, if you have them) of groups that lie nowhere else."
        )
    return None

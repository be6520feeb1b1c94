"""What one should know about the images before trusting anything that was trained on them.

Counts are by class and split, in images and in groups, because groups are what evidence is counted in.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from vision.base.names import comparison_key
from vision.base.record import FloatArray, ImageArray, IntArray
from vision.base.wording import count_of
from vision.data.account import count_uses, tell_remarks
from vision.data.groups.components import hold_several
from vision.data.groups.grouping import suggest_groups
from vision.data.groups.scratch import read_in_chunks
from vision.data.quality import QUALITY_COLUMNS, measure_quality
from vision.data.records import (
    ClassCount,
    DataFinding,
    DataReport,
    DuplicateGroup,
    Manifest,
    QualitySummary,
    Split,
    Splits,
)
from vision.data.splitting.dealing import SPLITS, number_splits

_CHUNK = 256
_IMBALANCE = 3.0
_FEW_GROUPS = 10
_NEAR_BLANK_CONTRAST = 0.02


def explore(manifest: Manifest, images: ImageArray, splits: Splits, resize_reason: str = "") -> DataReport:
    """Counts, quality, duplicates, what is left out, and findings in plain words.

    Row i of the images (n, size, size, 3) uint8 is entry i; a memory map is read in chunks.
    """
    quality = _measure_in_chunks(images)
    counts = tuple(_count_classes(splits))
    duplicates = tuple(_find_duplicates(manifest))
    quarantined = (*manifest.quarantined, *splits.quarantined)
    num_groups = splits.num_groups(np.flatnonzero(splits.used_as()))
    findings = [
        *_findings_on_counts(counts),
        *find_doubtful_labels(manifest),
        *_findings_on_groups(manifest, counts, num_groups),
        *_findings_on_likeness(manifest),
        *_findings_on_trees(manifest, splits),
        *_findings_on_files(manifest, duplicates, len(quarantined)),
        *_findings_on_sizes(manifest, images.shape[1], resize_reason),
        *_findings_on_blanks(manifest, quality),
    ]
    return DataReport(
        num_images=len(manifest.entries),
        num_groups=num_groups,
        class_counts=counts,
        quality=tuple(_summarise_quality(quality, splits)),
        duplicates=duplicates,
        quarantined=quarantined,
        findings=tuple(findings),
    )


def _measure_in_chunks(images: ImageArray) -> FloatArray:
    chunks = [measure_quality(chunk) for _, chunk in read_in_chunks(images, _CHUNK)]
    return np.concatenate(chunks) if chunks else np.zeros((0, len(QUALITY_COLUMNS)), dtype=np.float32)


def _class_order(splits: Splits) -> Iterator[tuple[str, bool]]:
    yield from ((name, False) for name in splits.class_names)
    yield from ((name, True) for name in splits.unknown_class_names)


def _count_classes(splits: Splits) -> Iterator[ClassCount]:
    """One row per class and split that it may be in, zeros included."""
    counts = count_uses(splits)
    for class_name, is_unknown in _class_order(splits):
        for split in Split:
            num_images, num_groups = counts.get((class_name, split), (0, 0))
            if is_unknown and not num_images:
                continue
            yield ClassCount(
                class_name=class_name,
                split=str(split),
                num_images=num_images,
                num_groups=num_groups,
                is_unknown=is_unknown,
            )


def _find_duplicates(manifest: Manifest) -> Iterator[DuplicateGroup]:
    codes, _ = manifest.entries.column("digest").codes()
    repeated = np.flatnonzero(np.bincount(codes)[codes] > 1) if len(codes) else codes
    paths: dict[str, list[str]] = defaultdict(list)
    for entry in manifest.entries.take(repeated):
        paths[entry.digest].append(entry.path)
    for digest, same in sorted(paths.items(), key=lambda item: min(item[1])):
        yield DuplicateGroup(digest=digest, paths=tuple(sorted(same)))


def _summarise_quality(quality: FloatArray, splits: Splits) -> Iterator[QualitySummary]:
    for class_name, _ in _class_order(splits):
        rows = splits.image_classes.places.get(class_name)
        if rows is None:
            continue
        low, median, high = np.percentile(quality[rows], [5, 50, 95], axis=0)
        mean = quality[rows].mean(axis=0, dtype=np.float64)
        for index, column in enumerate(QUALITY_COLUMNS):
            yield QualitySummary(
                class_name=class_name,
                column=column,
                mean=float(mean[index]),
                p05=float(low[index]),
                median=float(median[index]),
                p95=float(high[index]),
            )


# --- findings -------------------------------------------------------------------------------------------


def _info(message: str) -> DataFinding:
    return DataFinding(severity="info", message=message)


def _warning(message: str) -> DataFinding:
    return DataFinding(severity="warning", message=message)


def _findings_on_counts(counts: Sequence[ClassCount]) -> Iterator[DataFinding]:
    totals: Counter[str] = Counter()
    for count in counts:
        if not count.is_unknown:
            totals[count.class_name] += count.num_images
    if not totals or min(totals.values()) == 0:
        return
    (largest, most), (smallest, least) = totals.most_common()[0], totals.most_common()[-1]
    if most >= _IMBALANCE * least:
        yield _warning(
            f"The classes are uneven: {largest} has {most} images, {smallest} {least}. Read the macro F1 and "
            "the table of classes, not the accuracy alone."
        )


def _findings_on_groups(
    manifest: Manifest, counts: Sequence[ClassCount], num_groups: int
) -> Iterator[DataFinding]:
    num_declared = manifest.num_declared()
    if not num_declared:
        found = suggest_groups(manifest.entries)
        yield _info(
            "No groups are declared: every image counts as independent, unless it looks like another. If "
            "several show one individual or one visit, set dataset.group_by, or the figures will flatter."
        )
        if found.pattern is not None:
            yield _warning(f"{found.sentence()} Set dataset.{found.setting()}")
    else:
        yield _info(
            f"The {len(manifest.entries)} images show {count_of(num_groups, 'group')}; "
            "splits keep groups whole."
        )
        missing = len(manifest.entries) - num_declared
        if missing:
            bare = manifest.entries.column("group").codes()[0] < 0
            first = manifest.entries[int(bare.argmax())].path
            yield _warning(
                f"Without a declared group: {missing} of {len(manifest.entries)} images (first: {first}); "
                "each counts as its own. Check that dataset.group_by fits their names."
            )
    few = [
        f"{count.class_name} ({count.num_groups} in {count.split})"
        for count in counts
        if count.split in (Split.CALIBRATION, Split.TEST)
        and not count.is_unknown
        and count.num_groups < _FEW_GROUPS
    ]
    if few:
        yield _warning(
            f"Few groups to judge by: {_some(few)}. Intervals of these classes are wide; groups of new "
            "individuals or sources help more than further images of the same."
        )


def find_doubtful_labels(manifest: Manifest) -> Iterator[DataFinding]:
    """Class names that differ only in signs between their words, and groups of more than one class."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in (*manifest.class_names, *manifest.unknown_class_names):
        alike["".join(each for each in comparison_key(name) if each.isalnum()) or name].append(name)
    for names in alike.values():
        if len(names) > 1:
            yield _warning(
                f"The classes {' and '.join(map(repr, names))} differ only in signs. If they are one class, "
                "move their images into one folder."
            )
    groups, declared = manifest.entries.column("group").codes()
    classes = manifest.entries.column("class_name")
    several = hold_several(groups, classes.codes()[0])
    spanning = sorted(declared.take(np.unique(groups[several])))
    if spanning:
        own = set(classes.take(manifest.entries.column("group").are_in(spanning[:1])))
        first = f"{spanning[0]!r}: {_some(sorted(own))}"
        yield _warning(
            f"Of {len(declared)} groups, {len(spanning)} hold images of more than one class (first: "
            f"{first}). That is right for places and visits. If numbers begin anew in each class, let "
            'dataset.group_by read the class folder too, as in "(?P<group>[^/]+/[^/]+)_frame".'
        )


def _findings_on_trees(manifest: Manifest, splits: Splits) -> Iterator[DataFinding]:
    trees, uses = number_splits(manifest.entries.column("tree")), number_splits(splits.splits)
    kept = [str(split) for number, split in enumerate(SPLITS) if (trees == number).any()]
    if not kept:
        return
    yield _info(f"Your own trees are honoured: {', '.join(kept)}.")
    if splits.kept_leaks:
        yield _warning(
            f"Your own trees share {splits.kept_leaks} images, near duplicates or groups, and were kept so "
            "(split.on_leak: keep): the figures of this report are too good."
        )
    train = SPLITS.index(Split.TRAIN)
    moved = int(((uses >= 0) & (trees >= 0) & (trees != train) & (trees != uses)).sum())
    if moved:
        yield _info(
            f"Moved out of your validation and test trees: {count_of(moved, 'image')}, whose group lies in "
            "two trees."
        )
    carved = (trees == train) & ~manifest.entries.column("is_unknown").numbers()
    for split in sorted(Split):
        count = int((carved & (uses == SPLITS.index(split))).sum())
        if not count or split is Split.TRAIN:
            continue
        lacking = "" if split is Split.CALIBRATION else f", because you have no {split} tree"
        yield _info(
            f"Carved out of your training tree for {split}: {count_of(count, 'image')}, whole "
            f"groups{lacking}."
        )


def _findings_on_likeness(manifest: Manifest) -> Iterator[DataFinding]:
    """What looks alike: how many pictures, under two labels, and classes where likeness says nothing."""
    if manifest.alike:
        first, second = (manifest.entries[row].path for row in manifest.alike[0])
        num, of = manifest.num_alike(), len(manifest.entries)
        yield _info(
            f"Near duplicates and bursts: {num} of {of} pictures look like another (first: {first} and "
            f"{second}). Those that belong together stay in one split."
        )
    mixed = manifest.two_labels()
    if len(mixed):
        first, second = (manifest.entries[int(row)].path for row in mixed[0])
        yield _warning(
            f"Nearly one picture under two labels: {len(mixed)} pairs (first: {first} and "
            f"{second}). Look at them: one label may be wrong."
        )
    if manifest.too_alike:
        yield _warning(
            f"All much alike: the pictures of {_some(manifest.too_alike)}. Only near copies among them are "
            "kept together; set dataset.group_by if several show one individual or visit."
        )


def _findings_on_files(
    manifest: Manifest, duplicates: Sequence[DuplicateGroup], num_quarantined: int
) -> Iterator[DataFinding]:
    if duplicates:
        copies = sum(len(same.paths) - 1 for same in duplicates)
        yield _info(
            f"Exact copies of other images: {copies} (first: {' = '.join(duplicates[0].paths[:2])}); copies "
            "stay in one split."
        )
    if num_quarantined:
        num_files = len(manifest.entries) + len(manifest.quarantined)
        yield _warning(f"Left out: {num_quarantined} of {num_files} files; the list gives the reasons.")
    for told in tell_remarks(manifest):
        yield _info(told)


def _findings_on_sizes(manifest: Manifest, size: int, resize_reason: str) -> Iterator[DataFinding]:
    if not manifest.entries:
        return
    widths, heights = (manifest.entries.column(name).numbers() for name in ("width", "height"))
    yield _info(
        f"Sizes: {widths.min()} to {widths.max()} pixels wide (median {np.median(widths):.0f}), "
        f"{heights.min()} to {heights.max()} high (median {np.median(heights):.0f})."
    )
    if resize_reason:
        yield _info(resize_reason)
    num_small = int((np.maximum(widths, heights) < size).sum())
    if num_small:
        yield _warning(
            f"Smaller than {size} pixels, and enlarged: {num_small} of {len(widths)} images. A smaller "
            "images.size may serve as well, and faster."
        )


def _findings_on_blanks(manifest: Manifest, quality: FloatArray) -> Iterator[DataFinding]:
    contrast = quality[:, QUALITY_COLUMNS.index("contrast")]
    blank: IntArray = np.flatnonzero(contrast < _NEAR_BLANK_CONTRAST)
    if len(blank):
        first = manifest.entries[int(blank[0])].path
        yield _warning(f"Almost blank: {len(blank)} of {len(quality)} images (first: {first}). Look at them.")


def _some(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more

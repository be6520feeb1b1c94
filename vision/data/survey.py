"""What a folder or a table of images holds, before anything is configured: classes, groups, sizes, losses.

Every image is read; up to `MOST_COMPARED` are compared by their looks as well, as a training does it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vision.base.columns.rows import Rows
from vision.base.files import storage_errors
from vision.base.record import IntArray
from vision.base.wording import count_of
from vision.config.data import AUTO_GROUPS, CheckSettings, FolderSource, Resize
from vision.config.sources.tables import CsvSource
from vision.data.groups.components import Linked
from vision.data.groups.grouping import Suggestion, suggest_groups
from vision.data.groups.near_duplicates import SIDE, SmallPictures, link_small, shrink_picture
from vision.data.images import decode_image
from vision.data.records import ImageEntry, Manifest
from vision.data.sources import read_source
from vision.data.sources.declaration import Progress
from vision.data.sources.folder import list_folder
from vision.data.sources.layout import Hints
from vision.data.sources.layout_reading import find_layout
from vision.data.sources.table.labels_file import list_table
from vision.data.splitting.splits import find_contradictions

FEW_IMAGES = 30
"""Of a class; with fewer its figures mean little."""

FEW_GROUPS = 10

MOST_COMPARED = 20_000
"""Images that are compared by their looks; of more the training tells."""

USUAL_SIZE = 160
"""Pixels a side of the network's input."""

SMALL_SIZE = 96
_TINY = 64
_NO_LIMIT = 1e6


@dataclass(frozen=True)
class ClassSize:
    """How many images and groups a class has; without declared groups every image is one of its own."""

    name: str
    num_images: int
    num_groups: int
    is_unknown: bool = False

    def fault(self, checks: CheckSettings) -> str | None:
        """Why a training would refuse the class, in words; None if it would not, or if it is held out."""
        if self.is_unknown:
            return None
        if self.num_images < checks.min_images_per_class:
            return f"{count_of(self.num_images, 'picture')}, needs {checks.min_images_per_class}"
        if self.num_groups < checks.min_groups_per_class:
            return f"{count_of(self.num_groups, 'group')}, needs {checks.min_groups_per_class}"
        return None

    def is_rare(self) -> bool:
        """Whether it can be learned, but hardly be judged."""
        return self.num_images < FEW_IMAGES or self.num_groups < FEW_GROUPS


@dataclass(frozen=True, eq=False)
class Survey:
    """What was found in a folder, or by a table.

    Attributes:
        settings: the folder or the table, with the groups that names of files suggest.
        manifest: its images; their groups are the declared ones, or those that were found.
        layout: what its folders are, as `dataset.layout` writes it; empty of a table.
        suggestion: what the names tell of groups; None where groups are declared, or folders are groups.
    """

    settings: FolderSource | CsvSource
    manifest: Manifest
    layout: str
    suggestion: Suggestion | None

    @cached_property
    def together(self) -> IntArray:
        """The number (n,) of what shares a split with each image (group, bytes, looks); -1 if set aside."""
        return Linked.of(self.manifest).components(self.used)

    @cached_property
    def contradictions(self) -> dict[int, str]:
        """Row -> why a training sets it aside: its bytes lie in two classes."""
        return find_contradictions(self.manifest.entries, Linked.of(self.manifest))

    @cached_property
    def used(self) -> NDArray[np.bool_]:
        """Which images (n,) a training uses: all but those of two labels."""
        used = np.ones(len(self.manifest.entries), dtype=bool)
        used[list(self.contradictions)] = False
        return used

    @property
    def has_groups(self) -> bool:
        """Whether it is known of some images that they belong together."""
        return self.num_together() < int(self.used.sum())

    def tell_pictures(self) -> str:
        """How many pictures and classes can be learned, and how many are held out, in words."""
        sizes = self.class_sizes()
        known, unknown = ([size for size in sizes if size.is_unknown is held] for held in (False, True))
        told, held_out = (
            f"{count_of(sum(size.num_images for size in some), 'picture')} of {count_of(len(some), 'class')}"
            for some in (known, unknown)
        )
        return f"{told}, and {held_out} held out as unknown" if unknown else told

    def has_places(self) -> bool:
        """Whether folders that mean nothing lie beside each other, as those of places do."""
        folders = [path.split("/") for path in self.manifest.entries.column("path")]
        above = [level for level, role in enumerate(self.layout.split("/")) if role == "place"]
        return any(
            len({tuple(each[: level + 1]) for each in folders})
            > len({tuple(each[:level]) for each in folders})
            for level in above
        )

    def num_together(self) -> int:
        """How many independent groups there are among the images used."""
        return len(np.unique(self.together[self.used]))

    def num_alike(self) -> int:
        """Images that look like another one: saved anew, scaled, the next of a burst."""
        pairs = self.manifest.alike.numbers()
        return len(np.unique(pairs[self.used[pairs].all(axis=1)]))

    def class_sizes(self) -> list[ClassSize]:
        """All classes by name, those that are held out last."""
        classes, names = self.manifest.entries.column("class_name").codes()
        own, num = classes[self.used], len(names)
        images = dict(zip(names, np.bincount(own, minlength=num).tolist(), strict=True))
        pairs = np.unique(self.together[self.used] * num + own)
        groups = dict(zip(names, np.bincount(pairs % num, minlength=num).tolist(), strict=True))
        known, unknown = self.manifest.class_names, self.manifest.unknown_class_names
        return [
            ClassSize(name, images.get(name, 0), groups.get(name, 0), name in unknown)
            for name in (*known, *unknown)
        ]

    def num_groups(self) -> int:
        """Groups by name; an image without one is a group of its own."""
        groups, names = self.manifest.entries.column("group").codes()
        return len(names) + int((groups < 0).sum())

    def num_copies(self) -> int:
        """Images whose bytes are those of another one of their class."""
        digests = self.manifest.entries.column("digest").codes()[0][self.used]
        return len(digests) - len(np.unique(digests))

    def usual_side(self) -> int:
        """The longer side of a usual image, in pixels."""
        return usual_side(self.manifest.entries)

    def size_range(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Width and height of the smallest image by pixels, their medians, and those of the largest."""
        sides = [self.manifest.entries.column(name).numbers() for name in ("width", "height")]
        pixels = np.argsort(sides[0] * sides[1], kind="stable")
        smallest, largest = ((int(sides[0][row]), int(sides[1][row])) for row in pixels[[0, -1]])
        width, height = (round(float(np.median(each))) for each in sides)
        return smallest, (width, height), largest


def survey_images(settings: FolderSource | CsvSource, progress: Progress | None = None) -> Survey:
    """Read every image of a folder, or that a table names, and find out which belong together.

    What the settings declare of layout and groups is kept.

    Raises:
        SourceError: it cannot be read as classes.
        StorageError: a file went away meanwhile.
    """
    if settings.group_by == AUTO_GROUPS:
        settings = settings.model_copy(update={"group_by": None})
    manifest = _compare(read_source(settings, Path(), progress=progress), progress)
    layout = ""
    if isinstance(settings, FolderSource):
        paths = list(manifest.entries.column("path"))
        layout = str(find_layout(paths, settings.layout, Hints(settings.unknown_classes)))
    if settings.group_by is not None or manifest.num_declared():
        return Survey(settings, manifest, layout, None)
    suggestion = suggest_groups(manifest.entries)
    if suggestion.pattern is None:
        return Survey(settings, manifest, layout, suggestion)
    grouped = settings.model_copy(update={"group_by": suggestion.pattern})
    listing = list_table(grouped)[1] if isinstance(grouped, CsvSource) else list_folder(grouped)
    groups = {file.path: file.group for file in listing.files}
    entries = manifest.entries.replace(group=map(groups.get, manifest.entries.column("path")))
    return Survey(grouped, manifest.model_copy(update={"entries": entries}), layout, suggestion)


def choose_size(usual_side: int) -> int:
    """Pixels a side for the network: pretrained features gain by enlarging small pictures, but not tiny ones.

    Out-of-fold accuracy of a head on EfficientNet-Lite0, at 96 and 160 pixels: pictures of 109 pixels 82 and
    88%, of 28 pixels 83 and 83%.
    """
    return USUAL_SIZE if usual_side >= _TINY else SMALL_SIZE


def choose_samples(entries: Sequence[ImageEntry], most: int) -> list[ImageEntry]:
    """Some images of one class, spread over its groups as far as there are enough of them."""
    firsts = list({entry.group or entry.path: entry for entry in reversed(entries)}.values())[::-1]
    pool = firsts if len(firsts) >= most else list(entries)
    step = len(pool) / min(most, len(pool))
    return [pool[int(place * step)] for place in range(min(most, len(pool)))]


def usual_side(entries: Rows[ImageEntry]) -> int:
    """The longer side of a usual image, in pixels."""
    return int(np.median(np.maximum(*(entries.column(name).numbers() for name in ("width", "height")))))


def _compare(manifest: Manifest, progress: Progress | None) -> Manifest:
    """The manifest with what looks alike, decoded as a training will; as it is, where there are too many."""
    entries, side = manifest.entries, choose_size(usual_side(manifest.entries))
    if len(entries) > MOST_COMPARED:
        return manifest
    small = np.empty((len(entries), SIDE, SIDE), np.uint8)

    def decode(row: int) -> SmallPictures:
        path = manifest.locate(entries[row])
        with storage_errors(path, "read"):
            raw = path.read_bytes()
        image = decode_image(raw, size=side, resize=Resize.PAD, max_megapixels=_NO_LIMIT)
        return shrink_picture(image, entries[row], Resize.PAD)

    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        for row, picture in enumerate(pool.map(decode, range(len(entries)))):
            small[row] = picture
            if progress is not None:
                progress(row + 1, len(entries))
    return link_small(manifest, small)

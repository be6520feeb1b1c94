"""What a folder or a table of images holds, before anything is configured: classes, groups, sizes, losses.

Every image is read; up to `MOST_COMPARED` are compared by their looks as well, as a training does it.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from statistics import median

import numpy as np

from vision.base.files import storage_errors
from vision.base.wording import count_of
from vision.config.data import AUTO_GROUPS, CheckSettings, FolderSource, Resize
from vision.config.sources.tables import CsvSource
from vision.data.grouping import Suggestion, suggest_groups
from vision.data.images import decode_image
from vision.data.links import Links, keys_of
from vision.data.near_duplicates import SIDE, SmallPictures, link_small, shrink_picture
from vision.data.records import ImageEntry, Manifest
from vision.data.sources import read_source
from vision.data.sources.declaration import Progress
from vision.data.sources.folder import list_folder
from vision.data.sources.layout import Hints
from vision.data.sources.layout_reading import find_layout
from vision.data.sources.table.labels_file import list_table

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
    def together(self) -> tuple[str, ...]:
        """For each image the name of what shares a split: by its group, its bytes or its looks."""
        entries, alike, links = self.manifest.entries, self.manifest.lookalikes(), Links()
        for row, entry in enumerate(entries):
            links.add(entry, None, [entries[other] for other in alike.get(row, ())])
        return tuple(links.find(keys_of(entry)[0]) for entry in entries)

    @property
    def has_groups(self) -> bool:
        """Whether it is known of some images that they belong together."""
        return self.num_together() < len(self.manifest.entries)

    def num_together(self) -> int:
        """How many independent groups there are."""
        return len(set(self.together))

    def num_alike(self) -> int:
        """Images that look like another one: saved anew, scaled, the next of a burst."""
        return len({row for pair in self.manifest.alike for row in pair})

    def class_sizes(self) -> list[ClassSize]:
        """All classes by name, those that are held out last."""
        images = Counter(entry.class_name for entry in self.manifest.entries)
        groups: dict[str, set[str]] = defaultdict(set)
        for entry, group in zip(self.manifest.entries, self.together, strict=True):
            groups[entry.class_name].add(group)
        known, unknown = self.manifest.class_names, self.manifest.unknown_class_names
        return [
            ClassSize(name, images[name], len(groups[name]), name in unknown) for name in (*known, *unknown)
        ]

    def num_groups(self) -> int:
        """Groups by name; an image without one is a group of its own."""
        return len({entry.group or entry.path for entry in self.manifest.entries})

    def num_copies(self) -> int:
        """Images whose bytes are those of another one."""
        return len(self.manifest.entries) - len({entry.digest for entry in self.manifest.entries})

    def usual_side(self) -> int:
        """The longer side of a usual image, in pixels."""
        return usual_side(self.manifest.entries)

    def size_range(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Width and height of the smallest image by pixels, their medians, and those of the largest."""
        sizes = sorted(((each.width, each.height) for each in self.manifest.entries), key=prod)
        width, height = (round(median(sides)) for sides in zip(*sizes, strict=True))
        return sizes[0], (width, height), sizes[-1]


def survey_images(settings: FolderSource | CsvSource, progress: Progress | None = None) -> Survey:
    """Read every image of a folder, or that a table names, and find out which belong together.

    Args:
        settings: the folder or the table; what they declare of layout and groups is kept.
        progress: is told images done and images in all.

    Raises:
        SourceError: it cannot be read as classes.
        StorageError: a file went away meanwhile.
    """
    if settings.group_by == AUTO_GROUPS:
        settings = settings.model_copy(update={"group_by": None})
    manifest = _compare(read_source(settings, Path(), progress=progress), progress)
    layout = ""
    if isinstance(settings, FolderSource):
        paths = [entry.path for entry in manifest.entries]
        layout = str(find_layout(paths, settings.layout, Hints(settings.unknown_classes)))
    if settings.group_by is not None or any(entry.group is not None for entry in manifest.entries):
        return Survey(settings, manifest, layout, None)
    suggestion = suggest_groups(manifest.entries)
    if suggestion.pattern is None:
        return Survey(settings, manifest, layout, suggestion)
    grouped = settings.model_copy(update={"group_by": suggestion.pattern})
    listing = list_table(grouped)[1] if isinstance(grouped, CsvSource) else list_folder(grouped)
    groups = {file.path: file.group for file in listing.files}
    entries = tuple(entry.model_copy(update={"group": groups.get(entry.path)}) for entry in manifest.entries)
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


def usual_side(entries: Sequence[ImageEntry]) -> int:
    """The longer side of a usual image, in pixels."""
    return int(median(max(entry.width, entry.height) for entry in entries))


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

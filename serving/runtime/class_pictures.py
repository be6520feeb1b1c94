"""Some training pictures of each class as small JPEGs on this disk, for people who compare."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from serving.runtime.running import ServiceFolder
from vision.base.errors import TaxonError
from vision.base.files import digest_file, storage_errors
from vision.data.records import Manifest, Split, Splits
from vision.data.thumbnails import make_thumbnail

SIDE = 200
"""Pixels of the longer side."""

PER_CLASS = 3

_logger = logging.getLogger(__name__)


def draw_class_pictures(folder: ServiceFolder, digest: str, manifest: Manifest, splits: Splits) -> None:
    """Draw pictures of a model's classes, in the place of those of the model before.

    Args:
        folder: of the project.
        digest: of the model's bundle.
        manifest: what the model was trained on.
        splits: which of it.

    Raises:
        StorageError: they cannot be written.
    """
    place = _class_folder(folder, digest)
    with storage_errors(place):
        if place.parent.exists():
            shutil.rmtree(place.parent)
        place.mkdir(parents=True)
        for label in range(len(manifest.class_names)):
            for number, content in enumerate(_pick_pictures(manifest, splits, label)):
                (place / f"{label}-{number}.jpg").write_bytes(content)


def find_class_pictures(
    folder: ServiceFolder, digest: str, class_names: tuple[str, ...]
) -> Mapping[str, list[Path]]:
    """Class -> its pictures, an empty list where there is none."""
    place = _class_folder(folder, digest)
    return {name: sorted(place.glob(f"{label}-*.jpg")) for label, name in enumerate(class_names)}


def _class_folder(folder: ServiceFolder, digest: str) -> Path:
    path: Path = folder.root / "classes" / digest[:16]
    return path


def _pick_pictures(manifest: Manifest, splits: Splits, label: int) -> Iterator[bytes]:
    """Up to PER_CLASS training pictures of a class, of different groups, spread over the groups' names.

    A file that is gone or was changed gives way to the next one.
    """
    rows = splits.rows(Split.TRAIN)
    rows = rows[splits.labels()[rows] == label]
    firsts = np.unique(splits.groups.take(rows).codes()[0], return_index=True)[1]
    entries = list(manifest.entries.take(rows[firsts]))
    apart = max(1, len(entries) // PER_CLASS)
    order = [entries[place] for start in range(apart) for place in range(start, len(entries), apart)]
    num_picked = 0
    for entry in order[: 10 * PER_CLASS]:
        path = manifest.locate(entry)
        try:
            if path.is_file() and digest_file(path) == entry.digest:
                yield make_thumbnail(path.read_bytes(), SIDE)
                num_picked += 1
        except (TaxonError, OSError) as error:
            _logger.warning("%s is not shown as an example of its class: %s", path, error)
        if num_picked == PER_CLASS:
            return

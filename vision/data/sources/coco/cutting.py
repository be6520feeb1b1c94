"""From the boxes of annotations to shares of a picture as it is seen, and to files that are cut out of it."""

from __future__ import annotations

import logging
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from PIL import Image

from vision.base.errors import ImageError
from vision.base.files import PARTIAL_SUFFIX, storage_errors, write_atomically
from vision.data.decoding.cutting import OUTSIDE, bound, cut, open_photograph
from vision.data.decoding.opening import DECODING_FAULTS
from vision.data.images import MAX_MEGAPIXELS
from vision.data.manifest import SourceFile
from vision.data.records import Box, Quarantined
from vision.data.sources.coco.document import Mark
from vision.data.sources.declaration import Progress

logger = logging.getLogger(__name__)

DONE = ".done"
"""The file that says that every box of a folder has been cut out."""

_ORIENTATION = 0x0112
_ROTATED: dict[int, Callable[[float, float], tuple[float, float]]] = {
    5: lambda x, y: (y, x),
    6: lambda x, y: (1 - y, x),
    7: lambda x, y: (1 - y, 1 - x),
    8: lambda x, y: (y, 1 - x),
}
"""EXIF orientation that swaps the sides -> where a point of the stored picture is seen; shares."""


@dataclass(frozen=True)
class Sides:
    """Width and height of a file's stored pixels, and its EXIF orientation."""

    width: int
    height: int
    orientation: int = 1


def read_sides(path: Path) -> Sides | None:
    """Sides and orientation from a file's header; None where it is no picture."""
    try:
        with Image.open(path) as image:
            return Sides(*image.size, int(image.getexif().get(_ORIENTATION, 1)))
    except (Image.DecompressionBombError, *DECODING_FAULTS):
        return None


def place_boxes(marks: Sequence[Mark], sides: Sides, stated: tuple[float, float] | None) -> Box | None:
    """The smallest box that holds all of them, within the picture as it is seen; None if none is inside.

    Pixels count in the size that the annotations state, which may be that of a larger original. Where a file
    is stored on its side, that size says whether the boxes are of the stored picture or of what is seen.
    """
    turns = sides.orientation in _ROTATED
    seen = (sides.height, sides.width) if turns else (sides.width, sides.height)
    stored = turns and stated is not None and (stated[0] > stated[1]) == (sides.width > sides.height)
    width, height = stated or seen
    corners = []
    for mark in marks:
        if mark.box is None:
            continue
        left, top, wide, high = mark.box
        if not mark.is_relative:
            left, top, wide, high = left / width, top / height, wide / width, high / height
        for point in ((left, top), (left + wide, top + high)):
            corners.append(_ROTATED[sides.orientation](*point) if stored else point)
    return bound(corners) if corners else None


def cut_boxes(
    files: Sequence[SourceFile],
    root: Path,
    folder: Path,
    margin: float,
    progress: Progress | None = None,
) -> tuple[list[SourceFile], list[Quarantined]]:
    """Cut every box out into a folder, unless that has been done; what was cut, and what could not be.

    The folder's name tells the content; `margin` is kept around a box, as a share of its longer side in
    pixels.

    Raises:
        StorageError: no space, no permission.
    """
    by_photo: dict[str, list[SourceFile]] = defaultdict(list)
    for each in files:
        named = replace(each, path=_name_cut(each.path, len(by_photo[each.path])))
        by_photo[each.path].append(named)
    done = folder / DONE
    if done.is_file():
        lines = done.read_text(encoding="utf-8").splitlines()
        faults = {name: reason for name, _, reason in (line.partition("\t") for line in lines)}
    else:
        logger.info("Cutting %d boxes out of %d photographs into %s", len(files), len(by_photo), folder)
        faults = _cut_all(by_photo, root, folder, margin, progress)
    cuts = [each for own in by_photo.values() for each in own]
    left_out = [
        Quarantined(path=each.path, reason=faults[each.path], class_name=each.class_name)
        for each in cuts
        if each.path in faults
    ]
    return [replace(each, box=None) for each in cuts if each.path not in faults], left_out


def _name_cut(path: str, number: int) -> str:
    """The file of the n-th box of a photograph: JPEG stays JPEG, all else becomes PNG."""
    place = PurePosixPath(path)
    ending = ".jpg" if place.suffix.lower() in (".jpg", ".jpeg") else ".png"
    return f"{place}_{number}{ending}"


def _cut_all(
    by_photo: dict[str, list[SourceFile]], root: Path, folder: Path, margin: float, progress: Progress | None
) -> dict[str, str]:
    """Name -> reason of those that could not be cut out; the folder appears when all others are."""
    partial = folder.with_name(f".{folder.name}{PARTIAL_SUFFIX}")
    for leftover in (partial, folder):  # of a run that was stopped
        shutil.rmtree(leftover, ignore_errors=True)
    faults: dict[str, str] = {}
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        work = pool.map(lambda item: _cut_photo(root / item[0], item[1], partial, margin), by_photo.items())
        for number, own in enumerate(work, start=1):
            faults |= own
            if progress is not None:
                progress(number, len(by_photo))
    write_atomically(
        partial / DONE, "".join(f"{name}\t{reason}\n" for name, reason in sorted(faults.items()))
    )
    with storage_errors(folder):
        os.sync()
        partial.replace(folder)
    return faults


def _cut_photo(path: Path, files: Sequence[SourceFile], folder: Path, margin: float) -> dict[str, str]:
    """Name -> reason of those that could not be cut out of one photograph."""
    try:
        photograph = open_photograph(path.read_bytes(), MAX_MEGAPIXELS)
        parts = {each.path: cut(photograph, each.box, margin) for each in files if each.box is not None}
    except (ImageError, OSError) as error:
        return {each.path: str(error).replace("\n", " ") for each in files}
    for name, part in parts.items():
        with storage_errors(folder / name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(part)
    return {each.path: OUTSIDE for each in files if each.path not in parts}

"""From the boxes of annotations to shares of a picture as it is seen, and to files that are cut out of it."""

from __future__ import annotations

import logging
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image, ImageOps

from vision.base.errors import ImageError
from vision.base.files import PARTIAL_SUFFIX, storage_errors, write_atomically
from vision.data.decoding.opening import DECODING_FAULTS, open_image
from vision.data.images import MAX_MEGAPIXELS
from vision.data.records import Box
from vision.data.sources.coco.document import Mark
from vision.data.sources.coco.examples import Example
from vision.data.sources.declaration import Progress

logger = logging.getLogger(__name__)

CUT_VERSION = 1
"""Raised when the same box gives other pixels or another file; part of the digest."""

DONE = ".done"
"""The file that says that every box of a folder has been cut out."""

OUTSIDE = "its box lies outside the picture"
"""Why an example cannot be used."""

_ORIENTATION = 0x0112
_QUALITY = 95
_PLAIN_MODES = ("L", "RGB", "RGBA", "I;16")
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
    return _bound(corners)


def _bound(corners: Sequence[tuple[float, float]]) -> Box | None:
    if not corners:
        return None
    xs, ys = ([min(1.0, max(0.0, corner[axis])) for corner in corners] for axis in (0, 1))
    left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None


def name_cut(path: str, number: int) -> str:
    """The file of the n-th example of a photograph: JPEG stays JPEG, all else becomes PNG."""
    place = PurePosixPath(path)
    ending = ".jpg" if place.suffix.lower() in (".jpg", ".jpeg") else ".png"
    return f"{place}_{number}{ending}"


def cut_boxes(
    examples: Sequence[tuple[Example, str]],
    root: Path,
    folder: Path,
    margin: float,
    progress: Progress | None = None,
) -> dict[str, str]:
    """Cut every example out of its photograph into a folder, unless that has been done.

    Args:
        examples: each with the name of its file in the folder.
        root: where the photographs lie.
        folder: where the files go; its name tells the content.
        margin: kept around a box, as a share of its longer side in pixels.
        progress: called with (photographs done, photographs in all).

    Returns:
        Name of the file -> why there is none.

    Raises:
        StorageError: no space, no permission.
    """
    by_photo: dict[str, list[tuple[Example, str]]] = defaultdict(list)
    for example, name in examples:
        by_photo[example.photo.path].append((example, name))
    done = folder / DONE
    if done.is_file():
        lines = done.read_text(encoding="utf-8").splitlines()
        return {name: reason for name, _, reason in (line.partition("\t") for line in lines)}
    logger.info("Cutting %d boxes out of %d photographs into %s", len(examples), len(by_photo), folder)
    partial = folder.with_name(f".{folder.name}{PARTIAL_SUFFIX}")
    for leftover in (partial, folder):  # of a run that was stopped
        shutil.rmtree(leftover, ignore_errors=True)
    faults: dict[str, str] = {}
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        work = pool.map(lambda item: _cut(root / item[0], item[1], partial, margin), by_photo.items())
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


def _cut(path: Path, examples: Iterable[tuple[Example, str]], folder: Path, margin: float) -> dict[str, str]:
    """Name -> reason of those that could not be cut out of one photograph."""
    examples = list(examples)
    sides = read_sides(path)
    try:
        seen = ImageOps.exif_transpose(open_image(path.read_bytes(), MAX_MEGAPIXELS))
    except (ImageError, *DECODING_FAULTS) as error:
        return {name: f"its photograph cannot be decoded: {error}".replace("\n", " ") for _, name in examples}
    faults = {}
    for example, name in examples:
        box = place_boxes(example.marks, sides, example.photo.size) if sides else None
        if box is None:
            faults[name] = OUTSIDE
            continue
        part = seen.crop(_with_margin(box, seen.size, margin))
        _save(part if part.mode in _PLAIN_MODES else part.convert("RGB"), folder / name, seen)
    return faults


def _with_margin(box: Box, sides: tuple[int, int], margin: float) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in pixels, at least one pixel each way, within the picture."""
    width, height = sides
    left, top, wide, high = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    room = margin * max(wide, high)
    x, y = min(width - 1, max(0, int(left - room))), min(height - 1, max(0, int(top - room)))
    right, bottom = round(left + wide + room), round(top + high + room)
    return x, y, min(width, max(x + 1, right)), min(height, max(y + 1, bottom))


def _save(part: Image.Image, path: Path, seen: Image.Image) -> None:
    """Write the pixels with the photograph's colour profile and its EXIF."""
    extra = {"icc_profile": seen.info.get("icc_profile"), "exif": seen.getexif()}
    is_jpeg = path.suffix == ".jpg"
    if is_jpeg and part.mode not in ("L", "RGB"):
        part = part.convert("RGB")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if is_jpeg:
            part.save(path, "JPEG", quality=_QUALITY, subsampling=0, **extra)
        else:
            part.save(path, "PNG", **extra)

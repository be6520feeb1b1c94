"""Pictures that come with boxes, in a table or a file of detections: what the boxes hold is asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from vision.base.errors import SourceError
from vision.base.wording import count_of
from vision.data.records import Box
from vision.data.sources.coco.cutting import Sides, place_boxes, read_sides
from vision.data.sources.coco.document import Mark, Photo, read_document, read_json
from vision.data.sources.coco.megadetector import read_detections
from vision.prediction.items import Item

MIN_CONFIDENCE = 0.2
"""Of a detection that counts."""


@dataclass(frozen=True)
class Boxes:
    """Where the boxes are, and what the model makes of them.

    Attributes:
        margin: kept around a box; None: the model was taught whole pictures, and no box is cut out.
        file: MegaDetector's results or a COCO file; None: boxes stand in the tables, if anywhere.
    """

    margin: float | None = None
    file: Path | None = None


def give_boxes(items: Sequence[Item], file: Path) -> list[Item]:
    """The items, each once for every box that the file has for it; without a box as they are.

    Raises:
        SourceError: the file is neither, or names none of the items.
    """
    photos = _read(file)
    by_name: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        by_name[PurePosixPath(photo.path).name].append(photo)
    given: list[Item] = []
    is_named = False
    for item in items:
        found = _find(by_name[PurePosixPath(item.path).name], item.path)
        is_named = is_named or found is not None
        boxes = _place(found, item.file) if found is not None else ()
        given += [replace(item, box=box) for box in boxes] or [item]
    if not is_named:
        raise SourceError(
            f"{file}: names none of {count_of(len(items), 'picture')} that are asked (first named: "
            f"{photos[0].path if photos else 'none'}; first asked: {items[0].path}). Expected paths that end "
            "alike. Give the file that was made of these pictures."
        )
    return given


def cut_items(items: Sequence[Item], margin: float) -> list[Item]:
    """The items, of which those with a box read as what it holds; a box that is none is their fault."""
    return [
        each if each.box is None else replace(each, margin=margin, stamp=f"{each.stamp} {margin} {each.box}")
        for each in items
    ]


def _find(photos: Sequence[Photo], asked: str) -> Photo | None:
    """The photograph whose path is the end of the one asked, or the reverse; None if there are several."""
    parts = PurePosixPath(asked).parts[::-1]
    alike: dict[int, list[Photo]] = defaultdict(list)
    for photo in photos:
        own = PurePosixPath(photo.path).parts[::-1]
        shared = min(len(own), len(parts))
        if own[:shared] == parts[:shared]:
            alike[shared].append(photo)
    best = alike[max(alike, default=0)]
    return best[0] if len(best) == 1 else None


def _read(file: Path) -> Sequence[Photo]:
    """The photographs of MegaDetector's results or of a COCO file, with their boxes."""
    if "detection_categories" not in read_json(file, "the file of boxes"):
        return read_document(file).photos
    found = read_detections(file, MIN_CONFIDENCE)
    return [
        Photo(path, marks=tuple(Mark("", box, is_relative=True) for box in boxes))
        for path, boxes in found.items()
    ]


def _place(photo: Photo, file: Path | None) -> tuple[Box, ...]:
    """Its boxes as shares of the picture; in pixels where its size is not known, in an archive."""
    marks = [mark for mark in photo.marks if mark.box is not None]
    sides = read_sides(file) if file else None
    if sides is None:
        if photo.size is None and not all(mark.is_relative for mark in marks):
            return tuple(mark.box for mark in marks if mark.box is not None)
        width, height = photo.size or (1, 1)
        sides = Sides(round(width), round(height))
    placed = [place_boxes((mark,), sides, photo.size) for mark in marks]
    return tuple(box for box in placed if box is not None)

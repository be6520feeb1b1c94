"""COCO and COCO Camera Traps files are read here, and what is wrong with their structure is refused.

A category may stand on an image several times. An image without any annotation is not the same as one of the
category `empty`: nobody has said what it shows.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field, ValidationError

from vision.base.errors import SourceError
from vision.base.names import comparison_key, normalise
from vision.base.wording import count_of

Numbers = tuple[float, float, float, float]


@dataclass(frozen=True)
class Mark:
    """One annotation.

    Attributes:
        box: left, top, width, height; pixels, or shares of the picture if `is_relative`.
        of_sequence: it was given to the sequence as a whole, so that a single frame may not show it.
        is_crowd: its box holds several individuals.
    """

    class_name: str
    box: Numbers | None = None
    is_relative: bool = False
    of_sequence: bool = False
    is_crowd: bool = False


@dataclass(frozen=True)
class Photo:
    """One image of the file with its annotations.

    Attributes:
        path: POSIX, relative to the images' folder, as the file has it.
        size: width and height in pixels that the file states, if it does.
        taken_at: local time of the camera, if known.
        is_corrupt: the file says that the picture cannot be used.
    """

    path: str
    size: tuple[float, float] | None = None
    location: str | None = None
    sequence: str | None = None
    taken_at: datetime | None = None
    is_corrupt: bool = False
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Document:
    """Photographs sorted by path, and the category above each category that has one."""

    photos: tuple[Photo, ...]
    above: Mapping[str, str] = field(default_factory=dict)


def _read_id(value: Any) -> Any:
    """An id as text: 1, 1.0 and "1" are one; None where there is none."""
    if value is None or value == "":
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


Id = Annotated[str, BeforeValidator(_read_id)]
OptionalId = Annotated[str | None, BeforeValidator(_read_id)]


class _Image(BaseModel):
    id: Id
    file_name: str = Field(min_length=1)
    width: float | None = None
    height: float | None = None
    location: OptionalId = None
    sequence: OptionalId = Field(None, validation_alias=AliasChoices("seq_id", "sequence_id", "sequence"))
    taken: str | None = Field(None, validation_alias=AliasChoices("datetime", "date_captured", "date"))
    corrupt: bool = False


class _Category(BaseModel):
    id: Id
    name: str = Field(min_length=1)
    supercategory: str | None = None


class _Annotation(BaseModel):
    image_id: Id
    category_id: OptionalId  # of a box that nobody has named: none
    bbox: list[float] | None = None
    bbox_relative: list[float] | None = None
    sequence_level_annotation: bool = False
    iscrowd: bool = False


class _File(BaseModel):
    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Annotation] = []


def read_json(path: Path, setting: str) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        SourceError: the file is missing, no JSON, or holds something else.
    """
    try:
        value = json.loads(path.expanduser().read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be read: {error.strerror}. Expected a JSON file. Correct {setting}."
        ) from error
    except ValueError as error:
        raise SourceError(f"{path}: is no JSON: {error}. Expected a JSON file. Correct {setting}.") from error
    if not isinstance(value, dict):
        raise SourceError(
            f"{path}: holds a {type(value).__name__}. Expected a JSON object. Correct {setting}."
        )
    return value


def read_document(path: Path) -> Document:
    """The photographs of a COCO or COCO Camera Traps file.

    Raises:
        SourceError: the file is missing or no such file; ids or names stand twice; annotations name what is
            not there; boxes are no boxes.
    """
    value = read_json(path, "dataset.annotations")
    if "detection_categories" in value:
        raise SourceError(
            f"{path}: holds MegaDetector's results: boxes without species. Expected a COCO file with "
            "labels. Name this file as dataset.detections beside it."
        )
    try:
        file = _File.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise SourceError(
            f"{path}: {count_of(error.error_count(), 'fault')} (first: {where}: {first['msg']}). Expected "
            "images with id and file_name, categories with id and name, annotations with image_id and "
            "category_id. Correct the file."
        ) from error
    _check_ids(path, file)
    _check_boxes(path, file.annotations)
    return _join(file)


def _check_ids(path: Path, file: _File) -> None:
    images, categories = {each.id for each in file.images}, {each.id for each in file.categories}
    _refuse_twice(path, "image id", (each.id for each in file.images))
    _refuse_twice(path, "file_name", (each.file_name for each in file.images))
    _refuse_twice(path, "category id", (each.id for each in file.categories))
    _refuse_twice(path, "category name", (each.name for each in file.categories))
    _refuse_twice(
        path,
        "category name, but for case, spaces and underscores,",
        (_key(each.name) for each in file.categories),
    )
    for what, known, named in (
        ("image", images, [each.image_id for each in file.annotations]),
        ("category", categories, [each.category_id for each in file.annotations if each.category_id]),
    ):
        lost = [each for each in named if each not in known]
        if lost:
            raise SourceError(
                f"{path}: {count_of(len(lost), 'annotation')} of {len(named)} name a {what}_id that is not "
                f"in the file (first: {lost[0]}). Expected an id of one of its {len(known)} entries. Correct "
                "the file."
            )


def _key(name: str) -> str:
    return comparison_key(re.sub(r"[\s_-]+", " ", name.strip()))


def _refuse_twice(path: Path, what: str, values: Iterable[str]) -> None:
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise SourceError(
            f"{path}: {count_of(len(twice), 'value')} of {what} stand twice (first: {twice[0]!r}). Expected "
            "each once. Join or rename them in the file."
        )


def _check_boxes(path: Path, annotations: list[_Annotation]) -> None:
    pixels = [each.bbox for each in annotations if each.bbox]
    shares = [each.bbox_relative for each in annotations if each.bbox_relative]
    wrong = [box for box in (*pixels, *shares) if not _is_box(box)]
    both = sum(1 for each in annotations if each.bbox and each.bbox_relative)
    if wrong or both:
        fault = (
            f"{count_of(len(wrong), 'box')} are no boxes (first: {wrong[0]})"
            if wrong
            else (f"{count_of(both, 'annotation')} have both bbox and bbox_relative")
        )
        raise SourceError(
            f"{path}: {fault}. Expected left, top, width and height, none of the sides negative, in bbox "
            "(pixels) or in bbox_relative (shares from 0 to 1). Correct the file."
        )
    if pixels and all(max(box[:4]) <= 1.0 for box in pixels) and any(max(box[:4]) > 0.0 for box in pixels):
        raise SourceError(
            f"{path}: no bbox has a number above 1, so they look like shares of the picture. Expected "
            "pixels. Call the field bbox_relative if they are shares."
        )
    large = [box for box in shares if max(box[:4]) > 2.0]
    if large:
        raise SourceError(
            f"{path}: {count_of(len(large), 'box')} in bbox_relative look like pixels (first: {large[0]}). "
            "Expected shares from 0 to 1. Call the field bbox if they are pixels."
        )


def _is_box(box: list[float]) -> bool:
    return len(box) >= 4 and all(map(math.isfinite, box[:4])) and min(box[2:4]) >= 0.0


def _join(file: _File) -> Document:
    names = {each.id: normalise(each.name) for each in file.categories}
    marks: dict[str, list[Mark]] = {each.id: [] for each in file.images}
    for each in file.annotations:
        if each.category_id is None:
            continue
        box = each.bbox or each.bbox_relative
        marks[each.image_id].append(
            Mark(
                class_name=names[each.category_id],
                box=(box[0], box[1], box[2], box[3]) if box else None,
                is_relative=bool(each.bbox_relative),
                of_sequence=each.sequence_level_annotation,
                is_crowd=each.iscrowd,
            )
        )
    photos = (
        Photo(
            path=each.file_name.replace("\\", "/"),
            size=(each.width, each.height) if each.width and each.height else None,
            location=each.location,
            sequence=each.sequence,
            taken_at=read_time(each.taken),
            is_corrupt=each.corrupt,
            marks=tuple(marks[each.id]),
        )
        for each in file.images
    )
    above = {
        normalise(each.name): normalise(each.supercategory) for each in file.categories if each.supercategory
    }
    return Document(tuple(sorted(photos, key=lambda photo: photo.path)), above)


def read_time(text: str | None) -> datetime | None:
    """A camera's local time; None where it is missing or unreadable."""
    try:
        return datetime.fromisoformat((text or "").strip().replace("/", "-")).replace(tzinfo=None)
    except ValueError:
        return None

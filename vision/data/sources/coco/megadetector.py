"""MegaDetector's result file: boxes of animals, people and vehicles, without species."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from vision.base.errors import SourceError
from vision.data.sources.coco.document import Numbers, read_json

_ANIMAL = "animal"
_ROUNDING = 1.01


class _Detection(BaseModel):
    category: str
    conf: float
    bbox: Numbers
    frame_number: int | None = None


class _Image(BaseModel):
    file: str
    detections: list[_Detection] | None = None


class _Results(BaseModel):
    detection_categories: dict[str, str]
    images: list[_Image]


def read_detections(path: Path, min_confidence: float) -> Mapping[str, tuple[Numbers, ...]]:
    """Path of a picture -> boxes of its animals, as shares of the picture; pictures that failed have none.

    Raises:
        SourceError: no such file, results of a video, boxes in pixels.
    """
    value = read_json(path, "dataset.detections")
    results = _parse(path, value)
    animals = {key for key, name in results.detection_categories.items() if name.lower() == _ANIMAL}
    if not animals:
        raise SourceError(
            f"{path}: its detection_categories are {', '.join(results.detection_categories.values())}. "
            f"Expected {_ANIMAL!r} among them. Name results of MegaDetector."
        )
    found = {}
    for image in results.images:
        boxes = [each for each in image.detections or () if each.category in animals]
        _check(path, image.file, boxes)
        found[image.file.replace("\\", "/")] = tuple(
            each.bbox for each in boxes if each.conf >= min_confidence
        )
    return found


def _parse(path: Path, value: dict[str, Any]) -> _Results:
    try:
        return _Results.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise SourceError(
            f"{path}: {where}: {first['msg']}. Expected MegaDetector's results: detection_categories, and "
            "images with file and detections of category, conf and bbox. Correct dataset.detections."
        ) from error


def _check(path: Path, file: str, boxes: list[_Detection]) -> None:
    for each in boxes:
        if each.frame_number is not None:
            raise SourceError(
                f"{path}: {file} is a video. Expected results of photographs. Save its frames first."
            )
        if max(each.bbox) > _ROUNDING or min(each.bbox) < -_ROUNDING + 1.0 or min(each.bbox[2:]) < 0.0:
            raise SourceError(
                f"{path}: {file} has the box {each.bbox}. Expected shares of the picture from 0 to 1: left, "
                "top, width, height. Write the results in MegaDetector's own format."
            )

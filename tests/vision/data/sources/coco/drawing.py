"""COCO files and their pictures, small enough to say in a line what they hold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vision.config.sources.labelled import CocoSource

NAMES = ("empty", "perch", "chub")
WIDTH, HEIGHT = 64, 48


def save(path: Path, orientation: int = 1, seed: int = 0) -> None:
    """A grey picture, darker by `seed`, with a white rectangle from (8, 12) to (24, 36) as it is stored."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((HEIGHT, WIDTH, 3), 90 - seed % 60, np.uint8)
    pixels[12:36, 8:24] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)


def image(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "file_name": f"{name}.png", **more}


def mark(name: str, category: int, bbox: Sequence[float] | None = None, **more: Any) -> dict[str, Any]:
    box = {} if bbox is None else {"bbox": list(bbox)}
    return {"image_id": name, "category_id": category, **box, **more}


def write(
    folder: Path,
    images: Sequence[Mapping[str, Any]],
    annotations: Sequence[Mapping[str, Any]],
    names: Sequence[str] = NAMES,
    **settings: Any,
) -> CocoSource:
    """The file and its settings; pictures are drawn where there are none yet."""
    for number, each in enumerate(images):
        path = folder / str(each["file_name"]).replace("\\", "/")
        if not path.exists() and path.resolve().is_relative_to(folder.resolve()):
            save(path, seed=number)
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    file = folder / "labels.json"
    content = {"images": list(images), "annotations": list(annotations), "categories": categories}
    file.write_text(json.dumps(content))
    return CocoSource(annotations=file, **settings)

"""Pictures inside the page: arrays and PNG bytes as data URIs, so that one file holds everything."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from report.story import RunStory
from vision.base.record import ImageArray
from vision.bundle.heat_map import overlay
from vision.evaluation.records import Answer

LARGEST_SIDE = 144
JPEG_QUALITY = 85


def embed_image(image: ImageArray) -> str:
    """A JPEG data URI of one image (h, w, 3) uint8, at most 144 pixels a side."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return _data_uri("image/jpeg", buffer.getvalue())


def embed_png(content: bytes) -> str:
    """A data URI of a PNG file."""
    return _data_uri("image/png", content)


def embed_answer(story: RunStory, answer: Answer) -> str | None:
    """The image that an answer is about, or None where it is not at hand."""
    if answer.kind == "far":
        far = (story.far_images or {}).get(answer.true_class, {}).get(answer.row)
        return None if far is None else embed_image(far)
    if story.images is None or not 0 <= answer.row < len(story.images):
        return None
    return embed_image(story.images[answer.row])


def embed_heat_map(story: RunStory, answer: Answer) -> str | None:
    """The image of an answer with its class-activation map laid over it, or None where there is none."""
    heat_map = story.heat_maps.get(answer.row)
    if story.images is None or heat_map is None or answer.kind == "far":
        return None
    return embed_image(overlay(np.asarray(story.images[answer.row]), heat_map))


def sample_rows(story: RunStory, class_name: str, count: int) -> list[int]:
    """Rows of up to `count` images of a class, of different groups where there are enough, evenly spread."""
    if story.splits is None:
        return []
    first_of_group: dict[str, int] = {}
    rows = []
    for row, (name, group) in enumerate(zip(story.splits.image_classes, story.splits.groups, strict=True)):
        if name == class_name:
            rows.append(row)
            first_of_group.setdefault(group, row)
    pool = list(first_of_group.values()) if len(first_of_group) >= count else rows
    places = np.linspace(0, max(len(pool) - 1, 0), min(count, len(pool))).round().astype(int)
    return [pool[place] for place in places]


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"

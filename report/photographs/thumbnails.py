"""Pictures inside the page: photographs, arrays and PNG bytes as data URIs."""

from __future__ import annotations

import base64
import hashlib

import numpy as np
from PIL import Image

from report.story import RunStory
from vision.base.record import ImageArray
from vision.bundle.heat_map import overlay
from vision.data.records import ImageEntry, Manifest
from vision.data.thumbnails import make_jpeg, shrink
from vision.evaluation.records import Answer

SAMPLE_SIDE, GALLERY_SIDE, LARGE_SIDE = 144, 260, 560
"""Pixels of the longer side: in a strip, in a gallery (opened at the same size), where it is shown large."""

JPEG_QUALITY = 82
NO_LIMIT = 1e6
"""Megapixels; the file was read when it was listed."""


def embed_image(image: ImageArray, side: int = SAMPLE_SIDE) -> str:
    """A JPEG data URI of one image (h, w, 3) uint8, at most `side` pixels a side."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.thumbnail((side, side))
    return as_data_uri("image/jpeg", make_jpeg(np.asarray(picture), JPEG_QUALITY))


def embed_png(content: bytes) -> str:
    """A data URI of a PNG file."""
    return as_data_uri("image/png", content)


def embed_row(story: RunStory, row: int, side: int) -> str | None:
    """The photograph of a data-set row, or what was decoded of it where its file is gone or has changed.

    None where neither is at hand.
    """
    if story.manifest is not None and 0 <= row < len(story.manifest.entries):
        photograph = read_photograph(story.manifest, story.manifest.entries[row], side)
        if photograph is not None:
            return embed_image(photograph, side)
    if story.images is None or not 0 <= row < len(story.images):
        return None
    return embed_image(story.images[row], side)


def read_photograph(manifest: Manifest, entry: ImageEntry, side: int) -> ImageArray | None:
    """The picture of an entry in its own shape, (h, w, 3) uint8, at most `side` pixels a side.

    It is never enlarged. None where the file is gone, or is another than that which was listed.
    """
    try:
        raw = manifest.locate(entry).read_bytes()
    except OSError:
        return None
    if hashlib.sha256(raw).hexdigest() != entry.digest:
        return None
    return shrink(raw, side, max_megapixels=NO_LIMIT, keeps_damage=entry.is_damaged)


def embed_answer(story: RunStory, answer: Answer, side: int = GALLERY_SIDE) -> str | None:
    """The picture that an answer is about, or None where it is not at hand."""
    if answer.kind != "far":
        return embed_row(story, answer.row, side)
    far = (story.far_images or {}).get(answer.true_class, {}).get(answer.row)
    return None if far is None else embed_image(far, side)


def name_file(story: RunStory, answer: Answer) -> str:
    """Path of the file that an answer is about, below the data set's folder; empty of a painted stranger."""
    entries = story.manifest.entries if story.manifest is not None else ()
    return entries[answer.row].path if answer.kind != "far" and 0 <= answer.row < len(entries) else ""


def embed_heat_map(story: RunStory, answer: Answer) -> str | None:
    """The image of an answer with its class-activation map laid over it, or None where there is none."""
    heat_map = story.heat_maps.get(answer.row)
    if story.images is None or heat_map is None or answer.kind == "far":
        return None
    return embed_image(overlay(np.asarray(story.images[answer.row]), heat_map), GALLERY_SIDE)


def sample_rows(story: RunStory, class_name: str, count: int) -> list[int]:
    """Rows of up to `count` images of a class, of different groups where there are enough, evenly spread."""
    if story.splits is None:
        return []
    rows = story.splits.image_classes.places.get(class_name, np.zeros(0, np.int64))
    firsts = np.unique(story.splits.groups.take(rows).codes()[0], return_index=True)[1]
    pool = rows[firsts] if len(firsts) >= count else rows
    places = np.linspace(0, max(len(pool) - 1, 0), min(count, len(pool))).round().astype(int)
    chosen: list[int] = pool[places].tolist()
    return chosen


def as_data_uri(kind: str, content: bytes) -> str:
    """A file of a media type, to stand in a page."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"

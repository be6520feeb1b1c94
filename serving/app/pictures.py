"""What a person drops, made ready: a small JPEG to show, and bytes that the service takes.

A picture that is shrunk is squared as the model squares it: padded, cropped or stretched.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

from serving.api.schemas import ModelDescription
from vision.config.data import Resize
from vision.data.decoding.formats import FORMATS
from vision.data.images import decode_image, probe_image
from vision.data.thumbnails import make_jpeg, make_thumbnail

FILE_TYPES = sorted({ending.removeprefix(".") for each in FORMATS for ending in each.endings})
SHOWN_SIDE = 1024
SENT_SIDE = 1536
"""Pixels; the model looks at a square of some hundred."""

_ROOM_FOR_THE_FORM = 10_000  # bytes of a request that are not the picture


@dataclass(frozen=True)
class Picture:
    """A dropped picture.

    Attributes:
        name: of its file.
        sent: bytes for the service: the file itself, or a smaller JPEG where that is over the limits.
        shown: JPEG of at most 1024 pixels a side, for the page.
    """

    name: str
    sent: bytes
    shown: bytes


def prepare_picture(name: str, content: bytes, model: ModelDescription) -> Picture:
    """A file, ready to be shown and asked about.

    Raises:
        ImageFormatError: it is no picture of a format that is read.
        ImageError: it is damaged, or has over 200 megapixels.
    """
    return Picture(name, fit_picture(content, model), make_thumbnail(content, SHOWN_SIDE))


def fit_picture(content: bytes, model: ModelDescription) -> bytes:
    """The file, shrunk where the service would refuse it for its size."""
    width, height = probe_image(content).sides
    few_bytes = len(content) + _ROOM_FOR_THE_FORM <= model.max_body_bytes
    if few_bytes and width * height <= model.max_megapixels * 1e6:
        return content
    resize = Resize(model.resize)
    return make_jpeg(decode_image(content, size=SENT_SIDE, resize=resize), quality=95)


def lay_heat(shown: bytes, drawn: bytes, resize: str, strength: float) -> Image.Image:
    """The heat map over its picture: 0 is the picture alone, 1 what the service drew, above 1 more of it."""
    heat = Image.open(io.BytesIO(drawn)).convert("RGB")
    plain = Image.fromarray(decode_image(shown, size=heat.width, resize=Resize(resize)))
    return Image.blend(plain, heat, strength)

"""What a person drops, made ready: bytes that the service takes, and a heat map laid over them.

A picture that is shrunk is squared as the model squares it: padded, cropped or stretched.
"""

from __future__ import annotations

import io

from PIL import Image

from serving.api.schemas import ModelDescription
from vision.config.data import Resize
from vision.data.decoding.formats import FORMATS
from vision.data.images import decode_image, probe_image
from vision.data.thumbnails import make_jpeg

FILE_TYPES = sorted({ending.removeprefix(".") for each in FORMATS for ending in each.endings})
SENT_SIDE = 1536
"""Pixels; the model looks at a square of some hundred."""

_ROOM_FOR_THE_FORM = 10_000  # bytes of a request that are not the picture


def fit_picture(content: bytes, model: ModelDescription) -> bytes:
    """The file, or a smaller JPEG of it where the service would refuse it for its size.

    Raises:
        ImageFormatError: it is no picture of a format that is read.
        ImageError: it is damaged, or has over 200 megapixels.
    """
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

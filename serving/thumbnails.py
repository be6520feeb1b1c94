"""Small JPEGs of whole pictures, by the project's one decoder."""

from __future__ import annotations

import io

from PIL import Image

from vision.base.record import ImageArray
from vision.config.data import Resize
from vision.data.images import decode_image, probe_image

MAX_MEGAPIXELS = 200.0
"""Of a picture that is shrunk; a larger one is refused."""


def make_thumbnail(content: bytes, side: int) -> bytes:
    """The whole picture as a JPEG of `side` pixels at its longer side.

    Raises:
        ImageFormatError: it is no picture of a format that is read.
        ImageError: it is damaged, or has over 200 megapixels.
    """
    sides = probe_image(content, max_megapixels=MAX_MEGAPIXELS).sides
    padded = decode_image(content, size=side, resize=Resize.PAD, max_megapixels=MAX_MEGAPIXELS)
    width, height = (max(1, round(each * side / max(sides))) for each in sides)
    top, left = (side - height) // 2, (side - width) // 2
    return make_jpeg(padded[top : top + height, left : left + width])


def make_jpeg(picture: ImageArray, quality: int = 85) -> bytes:
    """A picture (height, width, 3) as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()

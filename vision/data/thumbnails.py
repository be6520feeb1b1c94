"""Small pictures in their own shape, by the project's one decoder, and JPEG files of them."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from vision.base.record import ImageArray
from vision.config.data import Resize
from vision.data.images import MAX_MEGAPIXELS, decode_image, probe_image


def shrink(
    content: bytes, side: int, *, max_megapixels: float = MAX_MEGAPIXELS, keeps_damage: bool = False
) -> ImageArray:
    """The whole picture of a file, (h, w, 3) uint8 with at most `side` pixels a side; it is never enlarged.

    Raises:
        ImageFormatError: it is no picture of a format that is read.
        ImageError: it is damaged, or has too many megapixels.
    """
    sides = probe_image(content, max_megapixels=max_megapixels, keeps_damage=keeps_damage).sides
    longer = max(sides)
    square = min(side, longer)
    padded = decode_image(
        content, size=square, resize=Resize.PAD, max_megapixels=max_megapixels, keeps_damage=keeps_damage
    )
    width, height = (max(1, round(each * square / longer)) for each in sides)
    left, top = (square - width) // 2, (square - height) // 2
    return padded[top : top + height, left : left + width]


def make_thumbnail(content: bytes, side: int) -> bytes:
    """The whole picture as a JPEG file of at most `side` pixels a side; raises as `shrink`."""
    return make_jpeg(shrink(content, side))


def make_jpeg(picture: ImageArray, quality: int = 85) -> bytes:
    """A picture (height, width, 3) as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()

"""The part of a picture that lies in a box, as a file of its own: the same for training and for an answer."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from dataclasses import dataclass

from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from vision.base.errors import ImageError
from vision.data.decoding.opening import DECODING_FAULTS, open_image
from vision.data.records import Box

CUT_VERSION = 2
"""Raised when the same box gives other pixels or another file; part of the digest of what is cut out."""

OUTSIDE = "its box lies outside the picture, or has no area"
"""Why nothing can be cut out."""

_QUALITY = 95
_PLAIN_MODES = ("L", "RGB", "RGBA", "I;16")


@dataclass(frozen=True)
class Photograph:
    """A decoded picture, upright, as it is seen; of a JPEG, what is cut out of it becomes one."""

    image: Image.Image
    is_jpeg: bool


def open_photograph(raw: bytes, max_megapixels: float) -> Photograph:
    """The picture in a file's bytes, from which boxes are cut.

    Raises:
        ImageError: it cannot be decoded, or has too many megapixels.
    """
    opened = open_image(raw, max_megapixels)
    try:
        return Photograph(ImageOps.exif_transpose(opened), isinstance(opened, JpegImageFile))
    except DECODING_FAULTS as error:
        raise ImageError(f"its photograph cannot be decoded: {error}".replace("\n", " ")) from error


def parse_box(texts: Iterable[str]) -> Box:
    """Left, top, width and height from texts.

    Raises:
        ValueError: not four finite numbers.
    """
    left, top, width, height = (float(text) for text in texts)
    if not all(map(math.isfinite, (left, top, width, height))):
        raise ValueError("not finite")
    return left, top, width, height


def place_box(given: Box, sides: tuple[float, float]) -> Box | None:
    """A box within the picture as shares of it; None where nothing of it is inside.

    The box is left, top, width and height in pixels of the picture as it is seen, or in shares where no
    number is above 1.
    """
    if not is_box(given):
        return None
    left, top, wide, high = given
    if max(given) > 1.0:
        width, height = sides
        left, top, wide, high = left / width, top / height, wide / width, high / height
    return bound([(left, top), (left + wide, top + high)])


def is_box(numbers: Box) -> bool:
    """Whether these may be left, top, width and height: finite, with a width and a height."""
    return all(map(math.isfinite, numbers)) and min(numbers[2:]) > 0.0


def bound(corners: Iterable[tuple[float, float]]) -> Box | None:
    """The smallest box within the picture around these points, all in shares; None if it has no area."""
    xs, ys = ([min(1.0, max(0.0, each)) for each in axis] for axis in zip(*corners, strict=True))
    left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None


def cut(photograph: Photograph, box: Box, margin: float) -> bytes:
    """A file of the part in a box: JPEG of a JPEG, else PNG, with the photograph's colour profile and EXIF.

    The box is as `place_box` gives it; `margin` is kept around it, as a share of its longer side in pixels.

    Raises:
        ImageError: the part cannot be written.
    """
    seen = photograph.image
    part = seen.crop(_with_margin(box, seen.size, margin))
    modes = ("L", "RGB") if photograph.is_jpeg else _PLAIN_MODES
    part = part if part.mode in modes else part.convert("RGB")
    buffer = io.BytesIO()
    try:
        extra = {"icc_profile": seen.info.get("icc_profile"), "exif": seen.getexif()}
        if photograph.is_jpeg:
            part.save(buffer, "JPEG", quality=_QUALITY, subsampling=0, **extra)
        else:
            part.save(buffer, "PNG", **extra)
    except DECODING_FAULTS as error:
        raise ImageError(f"nothing can be cut out of it: {error}") from error
    return buffer.getvalue()


def cut_out(raw: bytes, given: Box, margin: float, max_megapixels: float) -> bytes:
    """A file of what lies in a box of a file's picture; arguments as for the functions above.

    Raises:
        ImageError: the picture cannot be decoded, or its box is none or outside.
    """
    photograph = open_photograph(raw, max_megapixels)
    box = place_box(given, photograph.image.size)
    if box is None:
        told, (width, height) = ", ".join(f"{each:g}" for each in given), photograph.image.size
        raise ImageError(f"{OUTSIDE}: {told} in {width} x {height} pixels")
    return cut(photograph, box, margin)


def _with_margin(box: Box, sides: tuple[int, int], margin: float) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in pixels, at least one pixel each way, within the picture."""
    width, height = sides
    left, top, wide, high = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    room = margin * max(wide, high)
    x, y = min(width - 1, max(0, int(left - room))), min(height - 1, max(0, int(top - room)))
    right, bottom = round(left + wide + room), round(top + high + room)
    return x, y, min(width, max(x + 1, right)), min(height, max(y + 1, bottom))

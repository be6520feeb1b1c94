"""Decodes bytes to a uint8 RGB square: the only decoder and the only resize of the project.

What a file is, its first bytes say, never its name (`decoding/formats.py` lists what is read; all else is an
`ImageFormatError`). Before any pixel is decoded, what would cost far more than a picture is refused.
EXIF's orientation is applied, colour profiles become sRGB, transparency is laid over the grey of the padding,
samples of over eight bits are scaled to eight by the bits that they use, and of an animation the first frame
counts that shows anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from PIL import Image

from vision.base.record import ImageArray
from vision.config.data import Resize
from vision.data.decoding.capture_time import read_capture_time
from vision.data.decoding.colour import PAD_GREY
from vision.data.decoding.formats import find_format
from vision.data.decoding.loading import load_image
from vision.data.decoding.opening import open_image
from vision.data.decoding.remarks import Remark

DECODER_VERSION = 2
"""Raised when decoding or resizing changes the pixels; part of the address of every decoded store."""

MAX_MEGAPIXELS = 200.0
"""What is decoded where no other limit is set: as much as a phone's camera takes."""

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDES_SWAPPED = frozenset({5, 6, 7, 8})


@dataclass(frozen=True)
class Probe:
    """What is known of a picture that decodes to its end.

    Attributes:
        width: in pixels, as it is seen.
        height: in pixels, as it is seen.
        sample_bits: how many of 16 bits its samples use, as far as they alone tell; 0 for eight bits.
        taken_at: local time at which its camera says that it was taken.
    """

    width: int
    height: int
    format: str
    remarks: frozenset[Remark]
    sample_bits: int = 0
    taken_at: datetime | None = None

    @property
    def sides(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height


def decode_image(
    raw: bytes,
    *,
    size: int,
    resize: Resize,
    max_megapixels: float = MAX_MEGAPIXELS,
    keeps_damage: bool = False,
    least_bits: int = 0,
) -> ImageArray:
    """The picture in a file's bytes as a square (size, size, 3) uint8, sRGB, in training and in the service.

    Large JPEGs are decoded at a reduced scale that is still at least twice the target (libjpeg's scaled
    inverse DCT), then resized by Pillow's antialiased bilinear filter. `resize` pad keeps the whole picture
    and fills with grey 128, crop keeps the centre square, stretch changes the aspect. A picture of more than
    `max_megapixels` is refused unread; with `keeps_damage`, what is there of a damaged one is taken.
    `least_bits`, of 16, are those that the data set's pictures use.

    Raises:
        ImageFormatError: of a format that is not read, or no image.
        ImageError: empty, too large, cut short or malformed.
    """
    image = open_image(raw, max_megapixels)
    target = _resized_sides(image.size, size, resize)
    draft = 2 * target[0], 2 * target[1]
    loaded = load_image(raw, image, draft, keeps_damage=keeps_damage, least_bits=least_bits)
    picture = loaded.flat.image
    box = _centre_box(picture.size) if resize is Resize.CROP else None
    sides = (size, size) if resize is Resize.CROP else target
    picture = loaded.flat.finish(picture.resize(sides, Image.Resampling.BILINEAR, box=box))
    if loaded.orientation in _TRANSPOSITIONS:
        picture = picture.transpose(_TRANSPOSITIONS[loaded.orientation])
    return _pad(np.asarray(picture, dtype=np.uint8), size)


def probe_image(raw: bytes, *, max_megapixels: float = MAX_MEGAPIXELS, keeps_damage: bool = False) -> Probe:
    """Width, height and format of a picture, and the certainty that it decodes to its end.

    A picture of more than `max_megapixels` is refused unread; with `keeps_damage`, one of which a part is
    missing is taken, with a remark.

    Raises:
        ImageFormatError: of a format that is not read, or no image.
        ImageError: empty, too large, cut short or malformed.
    """
    image = open_image(raw, max_megapixels)
    width, height = image.size
    # an eighth of the scale; every coded byte is read all the same
    loaded = load_image(raw, image, (1, 1), keeps_damage=keeps_damage)
    if loaded.orientation in _SIDES_SWAPPED:
        width, height = height, width
    form = find_format(raw)
    return Probe(
        width=width,
        height=height,
        format=form.name if form else "",
        remarks=loaded.flat.remarks,
        sample_bits=loaded.flat.sample_bits,
        taken_at=read_capture_time(image),
    )


def _resized_sides(sides: tuple[int, int], size: int, resize: Resize) -> tuple[int, int]:
    """Width and height that the whole picture has after the resize, before cropping or padding."""
    if resize is Resize.AUTO:
        raise ValueError("resize is auto. Expected pad, crop or stretch, as settle_resize gives.")
    if resize is Resize.STRETCH:
        return size, size
    width, height = sides
    reference = min(sides) if resize is Resize.CROP else max(sides)
    return max(1, round(width * size / reference)), max(1, round(height * size / reference))


def _centre_box(sides: tuple[int, int]) -> tuple[float, float, float, float]:
    width, height = sides
    side = min(sides)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def _pad(picture: ImageArray, size: int) -> ImageArray:
    """The picture in the centre of a grey square."""
    height, width = picture.shape[:2]
    square = np.full((size, size, 3), PAD_GREY, dtype=np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    square[top : top + height, left : left + width] = picture
    return square

"""Bytes become a uint8 RGB square here and nowhere else: the only decoder, the only resize.

Formats are told by their first bytes, never by a file name; JPEG, PNG, WebP and BMP are read, all else is an
`ImageError`. Before any pixel is decoded, what would cost far more than a picture is refused: too many
pixels, a side over 20,000, run-length encoded BMP, over 1,000 JPEG segments. Orientation (EXIF or XMP) is
applied, transparency is laid over the grey of the padding, 16-bit samples keep their upper bits, and
of an animation the first frame counts.
"""

from __future__ import annotations

import io
import re
import struct
import zlib

import numpy as np
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import MARKER, JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from vision.base.errors import ImageError, ImageFormatError
from vision.base.record import ImageArray
from vision.config.data import Resize

PAD_GREY = 128
"""Value of every channel of the padding, and what lies behind transparent pixels."""

DECODER_VERSION = 1
"""Raised when decoding or resizing changes the pixels; part of the address of every decoded store."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
"""File name endings, in lower case, of the formats that are read."""

MAX_SIDE = 20_000
"""Pixels; Pillow's work per row or column makes a strip of a few bytes take minutes."""

MAX_SEGMENTS = 1_000
"""Of a JPEG before its first scan; cameras write some dozens, and Pillow reads each by slow steps."""

_MAX_JUNK_BYTES = 100_000
_NEXT_MARKER = re.compile(rb"[^\xff]*\xff+([^\xff])")
_START_OF_SCAN = 0xFFDA
_BMP_RUN_LENGTHS = frozenset({1, 2})
_STRIP_PIXELS = 1_000_000

_ORIENTATION_TAG = 0x0112
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

# What Pillow's plugins raise on malformed files; anything else is a fault of this program.
_DECODING_FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    NotImplementedError,
    struct.error,
    zlib.error,
)


def decode_image(raw: bytes, *, size: int, resize: Resize, max_megapixels: float = 100.0) -> ImageArray:
    """The picture in a file's bytes as a square, the same for training and for the service.

    Large JPEGs are decoded at a reduced scale that is still at least twice the target (libjpeg's scaled
    inverse DCT), then resized by Pillow's antialiased bilinear filter.

    Args:
        raw: the whole content of a JPEG, PNG, WebP or BMP file.
        size: side of the square in pixels.
        resize: pad keeps the whole picture and its aspect and fills with grey 128; crop keeps the centre
            square; stretch keeps the whole picture and changes its aspect.
        max_megapixels: a picture with more pixels is refused before it is decoded.

    Returns:
        (size, size, 3) uint8, RGB.

    Raises:
        ImageError: empty, of another format, too large, truncated or malformed.
    """
    image = _open(raw, max_megapixels)
    target = _resized_sides(image.size, size, resize)
    try:
        if isinstance(image, JpegImageFile):
            image.draft("RGB", (2 * target[0], 2 * target[1]))
        image.load()
        orientation = _orientation(image)
        picture = _as_rgb(image)
    except _DECODING_FAULTS as error:
        raise ImageError(_decoding_fault(raw, error)) from error
    box = _centre_box(picture.size) if resize is Resize.CROP else None
    sides = (size, size) if resize is Resize.CROP else target
    picture = picture.resize(sides, Image.Resampling.BILINEAR, box=box)
    if orientation in _TRANSPOSITIONS:
        picture = picture.transpose(_TRANSPOSITIONS[orientation])
    return _pad(np.asarray(picture, dtype=np.uint8), size)


def probe_image(raw: bytes, *, max_megapixels: float = 100.0) -> tuple[int, int]:
    """Width and height of a picture as it is seen, and the certainty that it decodes to its end.

    Args:
        raw: the whole content of a JPEG, PNG, WebP or BMP file.
        max_megapixels: a picture with more pixels is refused before it is decoded.

    Returns:
        Width and height in pixels, after orientation.

    Raises:
        ImageError: empty, of another format, too large, truncated or malformed.
    """
    image = _open(raw, max_megapixels)
    width, height = image.size
    try:
        if isinstance(image, JpegImageFile):
            image.draft("RGB", (1, 1))  # an eighth of the scale; every coded byte is read all the same
        image.load()
        orientation = _orientation(image)
    except _DECODING_FAULTS as error:
        raise ImageError(_decoding_fault(raw, error)) from error
    return (height, width) if orientation in _SIDES_SWAPPED else (width, height)


def _open(raw: bytes, max_megapixels: float) -> ImageFile.ImageFile:
    """The image with its header read and its pixels not yet decoded."""
    plugin = _plugin(raw)
    if plugin is WebPImageFile:
        _check_pixels(_webp_canvas(raw), max_megapixels)  # its reader reserves the canvas when it is made
    if plugin is JpegImageFile:
        _check_segments(raw)
    try:
        image = plugin(io.BytesIO(raw))
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise ImageError(
            f"the picture has too many pixels ({error}); expected at most {most:.0f} megapixels"
        ) from error
    except _DECODING_FAULTS as error:
        raise ImageError(_decoding_fault(raw, error)) from error
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(f"the picture has {width} x {height} pixels; expected at least 1 x 1")
    _check_pixels(image.size, max_megapixels)
    if plugin is BmpImageFile and image.info.get("compression") in _BMP_RUN_LENGTHS:
        raise ImageError("the picture is a run-length encoded BMP; expected an uncompressed one, or PNG")
    return image


def _check_pixels(sides: tuple[int, int], max_megapixels: float) -> None:
    width, height = sides
    if width * height > max_megapixels * 1e6:
        raise ImageError(
            f"the picture has {width} x {height} pixels, {width * height / 1e6:.1f} megapixels; "
            f"expected at most {max_megapixels:g}"
        )
    if max(sides) > MAX_SIDE:
        raise ImageError(f"the picture has {width} x {height} pixels; expected at most {MAX_SIDE} a side")


def _check_segments(raw: bytes) -> None:
    """Raise ImageError where a JPEG's header is a long walk for Pillow, whose steps are followed here."""
    at, num_junk = 2, 0
    for _ in range(MAX_SEGMENTS):
        found = _NEXT_MARKER.match(raw, at)
        if found is None:
            num_junk += len(raw) - at
            break
        num_junk += found.end() - 2 - at
        marker = 0xFF00 | found[1][0]
        if num_junk > _MAX_JUNK_BYTES or marker == _START_OF_SCAN:
            break
        at = found.end()
        if marker in MARKER and MARKER[marker][2] is not None:  # a segment with its length, passed over
            at += max(2, int.from_bytes(raw[at : at + 2], "big"))
    else:
        raise ImageError(f"the JPEG has more than {MAX_SEGMENTS} segments before its pixels; expected fewer")
    if num_junk > _MAX_JUNK_BYTES:
        raise ImageError(
            f"the JPEG has over {_MAX_JUNK_BYTES} bytes of padding before its pixels; expected hardly any"
        )


def _webp_canvas(raw: bytes) -> tuple[int, int]:
    """Width and height that a WebP header declares (RFC 9649); 0 x 0 where it declares none."""
    header, form = raw[:30].ljust(30, b"\0"), raw[12:16]
    if form == b"VP8X":
        return int.from_bytes(header[24:27], "little") + 1, int.from_bytes(header[27:30], "little") + 1
    if form == b"VP8L" and header[20] == 0x2F:
        bits = int.from_bytes(header[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if form == b"VP8 " and header[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", header[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return 0, 0


def _plugin(raw: bytes) -> type[ImageFile.ImageFile]:
    """Pillow's reader for the format that the first bytes declare.

    The readers are called directly, not through `Image.open`, whose limit of pixels is a global setting; only
    the reader of WebP looks at that limit as well.
    """
    if raw.startswith(b"\xff\xd8\xff"):
        return JpegImageFile
    if raw.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImageFile
    if raw.startswith(b"RIFF") and raw[8:12] == b"WEBP":
        return WebPImageFile
    if raw.startswith(b"BM"):
        return BmpImageFile
    if not raw:
        raise ImageError("the file is empty; expected a JPEG, PNG, WebP or BMP image")
    raise ImageFormatError(f"not a JPEG, PNG, WebP or BMP image: it begins with {raw[:8]!r}")


def _decoding_fault(raw: bytes, error: Exception) -> str:
    detail = str(error) or type(error).__name__
    return f"the image is damaged or cut short and cannot be decoded ({detail}; {len(raw)} bytes)"


def _orientation(image: ImageFile.ImageFile) -> int:
    """The tag of `ImageOps.exif_transpose`, 1 to 8; 1 where it is absent or unreadable."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except _DECODING_FAULTS:
        return 1  # a picture with a damaged tag is shown as it lies, by browsers too
    return int(value) if value in _TRANSPOSITIONS else 1


def _as_rgb(image: Image.Image) -> Image.Image:
    """Eight-bit RGB without transparency; the same size."""
    if image.mode.startswith("I"):
        return _upper_bits(image).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layered = image if image.mode == "RGBA" else image.convert("RGBA")
        backdrop = Image.new("RGB", image.size, (PAD_GREY, PAD_GREY, PAD_GREY))
        backdrop.paste(layered, mask=layered.getchannel("A"))
        return backdrop
    return image if image.mode == "RGB" else image.convert("RGB")


def _upper_bits(image: Image.Image) -> Image.Image:
    """Eight bits of sixteen, a strip at a time: the whole in float32 would take several times its memory."""
    width, height = image.size
    grey = Image.new("L", image.size)
    num_rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, num_rows):
        strip = image.crop((0, top, width, min(height, top + num_rows)))
        samples = np.asarray(strip).astype(np.float32)
        upper = np.clip(np.rint(samples / 257.0), 0, 255).astype(np.uint8)
        grey.paste(Image.fromarray(upper), (0, top))
    return grey


def _resized_sides(sides: tuple[int, int], size: int, resize: Resize) -> tuple[int, int]:
    """Width and height that the whole picture has after the resize, before cropping or padding."""
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

"""The reader of a file's format, with its header read; what would cost too much is refused unread."""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator

from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import MARKER
from PIL.PngImagePlugin import PngImageFile

from vision.base.errors import ImageError
from vision.data.decoding.formats import find_format, refuse_format

MAX_SIDE = 20_000
"""Pixels; Pillow's work per row or column makes a strip of a few bytes take minutes."""

MAX_SEGMENTS = 1_000
"""Of a JPEG before its first scan; cameras write some dozens, and Pillow reads each by slow steps."""

END_OF_IMAGE = b"\xff\xd9"

# What Pillow's plugins raise on malformed files; anything else is a fault of this program.
DECODING_FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    zlib.error,
)

_MAX_JUNK_BYTES = 100_000
_NEXT_MARKER = re.compile(rb"[^\xff]*\xff+([^\xff])")
_START_OF_SCAN = 0xFFDA
_BMP_RUN_LENGTHS = frozenset({1, 2})
_PNG_START_BYTES = 8
_PNG_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt", b"iCCP"})

# The limits of pixels are checked here; odd metadata is no reason to write into a user's terminal.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def open_image(raw: bytes, max_megapixels: float) -> ImageFile.ImageFile:
    """Pillow's reader of the bytes, with its header read and its pixels not yet decoded.

    Raises:
        ImageFormatError: of a format that is not read, or no image at all.
        ImageError: too large, or its header is damaged.
    """
    form = find_format(raw)
    if form is None:
        raise refuse_format(raw)
    if form.name == "WebP":
        _check_pixels(_webp_canvas(raw), max_megapixels)  # its reader reserves the canvas when it is made
    if form.name == "JPEG":
        _check_segments(raw)
        raw = (
            raw + END_OF_IMAGE
        )  # some cameras write none; whether pixels are missing is found while decoding
    try:
        image = _read_header(form.reader, raw)
    except Image.DecompressionBombError as error:
        raise _too_many_for_pillow(error) from error
    except DECODING_FAULTS as error:
        raise damaged(raw, error) from error
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(f"the picture has {width} x {height} pixels; expected at least 1 x 1")
    _check_pixels(image.size, max_megapixels)
    if isinstance(image, BmpImageFile) and image.info.get("compression") in _BMP_RUN_LENGTHS:
        raise ImageError("the picture is a run-length encoded BMP; expected an uncompressed one, or PNG")
    return image


def damaged(raw: bytes, error: Exception | str) -> ImageError:
    """The error of an image whose pixels are not all there."""
    detail = str(error) or type(error).__name__
    form = find_format(raw)
    name = form.name if form else "image"
    return ImageError(f"the {name} is damaged or cut short ({detail}; {len(raw)} bytes)")


def png_chunks(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of the chunks of a PNG, as far as they are whole."""
    at = _PNG_START_BYTES
    while at + 12 <= len(raw):
        size = int.from_bytes(raw[at : at + 4], "big")
        if at + 12 + size > len(raw):
            return
        yield raw[at + 4 : at + 8], raw[at + 8 : at + 8 + size]
        at += 12 + size


def _read_header(reader: object, raw: bytes) -> ImageFile.ImageFile:
    """Open; a PNG whose texts or profile are larger than Pillow reads is opened without them."""
    try:
        return reader(io.BytesIO(raw))  # type: ignore[operator, no-any-return]
    except ValueError:
        if reader is not PngImageFile:
            raise
    return PngImageFile(io.BytesIO(_without_texts(raw)))


def _without_texts(raw: bytes) -> bytes:
    kept = [raw[:_PNG_START_BYTES]]
    for kind, content in png_chunks(raw):
        if kind not in _PNG_TEXTS:
            checksum = zlib.crc32(kind + content)
            kept.append(struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum))
    return b"".join(kept)


def _too_many_for_pillow(error: Exception) -> ImageError:
    most = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
    return ImageError(f"the picture has too many pixels ({error}); expected at most {most:.0f} megapixels")


def _check_pixels(sides: tuple[int, int], max_megapixels: float) -> None:
    width, height = sides
    if width * height > max_megapixels * 1e6:
        raise ImageError(
            f"the picture has {width} x {height} pixels, {width * height / 1e6:.1f} megapixels; "
            f"expected at most {max_megapixels:g} (the setting max_megapixels)"
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

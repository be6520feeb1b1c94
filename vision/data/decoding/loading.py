"""Loads a picture from bytes; a damaged one is refused, a whole one is used however unusual."""

from __future__ import annotations

from dataclasses import dataclass, replace

from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from vision.data.decoding.colour import Flat, flatten, has_deep_samples, is_all_transparent
from vision.data.decoding.jpeg import find_jpeg_damage, read_strictly
from vision.data.decoding.opening import DECODING_FAULTS, END_OF_IMAGE, damaged
from vision.data.decoding.remarks import Remark

_ORIENTATION_TAG = 0x0112
_ORIENTATIONS = range(1, 9)
_XMP_KEYS = ("xmp", "XML:com.adobe.xmp", "Raw profile type xmp")
_MOST_BLANK_FRAMES = 10
_ZERO_TAIL_BYTES = 64
_ZERO_SECTOR_BYTES = (
    512  # where metadata may lie behind the pixels, as much as a disk leaves unwritten at least
)
_SEARCHED_BYTES = 65_536  # for an end mark: behind it cameras write films and makers' notes


@dataclass(frozen=True)
class Loaded:
    """A picture as it lies in its file, before it is turned by the tag of EXIF (1 to 8).

    It is without transparency, at full or (JPEG) reduced scale.
    """

    flat: Flat
    orientation: int


def load_image(
    raw: bytes,
    image: ImageFile.ImageFile,
    draft: tuple[int, int],
    *,
    keeps_damage: bool = False,
    least_bits: int = 0,
) -> Loaded:
    """The picture of the bytes that `open_image` opened.

    `draft` is a width and height that are enough: a JPEG is decoded at the smallest scale that gives them.
    With `keeps_damage`, a picture of which a part is missing is taken if its decoder gives the rest.
    `least_bits`, of 16, are those that pictures of its data set use; 0 where that is not known.

    Raises:
        ImageError: damaged or cut short.
    """
    is_deep = has_deep_samples(image)
    try:
        if isinstance(image, JpegImageFile):
            picture, remarks, fault = _load_jpeg(raw, image, draft)
        else:
            picture, remarks, fault = image, set(), _find_zero_tail(raw, image.format or "")
            image.load()
            _skip_blank_frames(image)
        if fault and not keeps_damage:
            raise ValueError(fault)
        orientation = _orientation(image)
        flat = flatten(raw, picture, is_deep=is_deep, least_bits=least_bits)
    except (Image.DecompressionBombError, *DECODING_FAULTS) as error:
        raise damaged(raw, error) from error
    kept = {Remark.DAMAGED} if fault else set()
    return Loaded(replace(flat, remarks=flat.remarks | remarks | kept), orientation)


def _load_jpeg(
    raw: bytes, image: JpegImageFile, draft: tuple[int, int]
) -> tuple[Image.Image, set[Remark], str]:
    """Its pixels, what is worth telling, and the fault if libjpeg warned that pixels are missing."""
    image.draft("RGB", draft)
    picture = read_strictly(raw, image)
    fault = ""
    if picture is None:
        image.load()
        picture, fault = image, find_jpeg_damage(raw, image.mode)
    if not fault:
        has_end = raw.endswith(END_OF_IMAGE) or END_OF_IMAGE in raw[-_SEARCHED_BYTES:]
        return picture, (set() if has_end else {Remark.NO_END_MARK}), ""
    padded = raw.removesuffix(END_OF_IMAGE)
    shorter = padded.rstrip(b"\0")
    if len(shorter) < len(padded) and not find_jpeg_damage(shorter, image.mode):
        return picture, {Remark.NO_END_MARK}, ""  # zeros between the last pixel and the end mark were all
    return picture, set(), f"not all pixels are sound; libjpeg: {fault}"


def _find_zero_tail(raw: bytes, form: str) -> str:
    """The fault of compressed pixels that end in zeros, as if the end of the file was never written.

    The decoders of these formats make pixels of zeros without a word. Empty where there is no such fault.
    """
    if form == "WEBP":
        end, tail = _end_of_webp_pixels(raw), _ZERO_TAIL_BYTES
    elif form in ("AVIF", "HEIF"):
        end, tail = _end_of_media(raw), _ZERO_SECTOR_BYTES
    else:
        return ""
    is_zero = end >= tail and not raw[end - tail : end].strip(b"\0")
    return "its pixels end in zeros, which a copy that was not finished leaves" if is_zero else ""


def _end_of_webp_pixels(raw: bytes) -> int:
    """Where the last chunk of coded pixels ends in a WebP file; metadata may follow. 0 if there is none."""
    at, end = 12, 0
    while at + 8 <= len(raw):
        size = int.from_bytes(raw[at + 4 : at + 8], "little")
        if raw[at : at + 4] in (b"VP8 ", b"VP8L", b"ANMF"):
            end = min(len(raw), at + 8 + size)
        at += 8 + size + size % 2
    return end


def _end_of_media(raw: bytes) -> int:
    """Where the box of the coded pixels ends in an ISO base media file."""
    at = 0
    while at + 8 <= len(raw):
        size = int.from_bytes(raw[at : at + 4], "big")
        if raw[at + 4 : at + 8] == b"mdat":
            return min(len(raw), at + size) if size >= 8 else len(raw)
        if size < 8:
            break
        at += size
    return len(raw)


def _skip_blank_frames(image: ImageFile.ImageFile) -> None:
    """Go to the first frame of an animation that shows anything."""
    frame = 0
    while frame < _MOST_BLANK_FRAMES and is_all_transparent(image):
        frame += 1
        try:
            image.seek(frame)
            image.load()
        except EOFError:  # there is none
            image.seek(0)
            image.load()
            return


def _orientation(image: ImageFile.ImageFile) -> int:
    """The tag of EXIF, 1 to 8; 1 where it is absent or unreadable. XMP's is ignored, as by browsers."""
    for key in _XMP_KEYS:
        image.info.pop(key, None)
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except DECODING_FAULTS:
        return 1  # a picture with a damaged tag is shown as it lies, by browsers too
    return int(value) if value in _ORIENTATIONS else 1

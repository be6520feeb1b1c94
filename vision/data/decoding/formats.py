"""Which image format a file's first bytes declare, whatever its name.

To read another format is one `Format` in `FORMATS`: its name, how its bytes begin, and Pillow's reader.
"""

from __future__ import annotations

import io
import mimetypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile
from pillow_heif import HeifImageFile

from vision.base.errors import ImageError, ImageFormatError

HEAD_BYTES = 4096
"""How much of a file `recognise` looks at."""

_ACCEPTED_BYTES = 16  # as many as Pillow shows to its plugins

READ_FORMATS = "JPEG, PNG, WebP, BMP, GIF, TIFF, HEIC, AVIF, JPEG 2000 or PPM"
"""What is read, for people."""

EMPTY_FILE = "the file is empty; copy it again"


@dataclass(frozen=True)
class Format:
    """An image format that is read, and the endings of file names, in lower case, that promise it.

    Its Pillow reader is called directly: `Image.open` obeys a global limit of pixels.
    """

    name: str
    begins: Callable[[bytes], bool]
    reader: Callable[[io.BytesIO], ImageFile.ImageFile]
    endings: tuple[str, ...]


@dataclass(frozen=True)
class Unread:
    """What a file is that is no image, or an image that is not read, and how to get a picture out of it."""

    name: str
    begins: Callable[[bytes], bool]
    advice: str
    is_image: bool = False


def _with(*starts: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(starts)


def _riff(form: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(b"RIFF") and head[8:12] == form


def _brands(head: bytes) -> set[bytes]:
    """The brands of an ISO base media file (HEIC, AVIF, MP4 and their kin); none for another file."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))}


def _is_avif(head: bytes) -> bool:
    return bool(_brands(head) & {b"avif", b"avis"})


def _is_heic(head: bytes) -> bool:
    wanted = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
    return bool(_brands(head) & wanted) and not _is_avif(head)


_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_REDUCED = 254  # NewSubfileType; bit 0: a reduced version of another picture in this file
_PHOTOMETRIC, _CFA, _LINEAR_RAW = 262, 32803, 34892
_DNG_VERSION = 50706
_RAW_STARTS = (
    *(b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"\0MRM"),
    *(b"FOVb", b"II\x1a\0\0\0HEAPCCDR"),
)


def _is_camera_raw(head: bytes) -> bool:
    """Whether a file holds a sensor's values, with a thumbnail where a TIFF has its picture."""
    if head.startswith(_RAW_STARTS):
        return True
    if b"crx " in _brands(head) or (head[8:10] == b"CR" and head.startswith(_TIFF_STARTS)):
        return True
    tags = _tiff_tags(head)
    is_raw = tags.get(_PHOTOMETRIC) in (_CFA, _LINEAR_RAW) or _DNG_VERSION in tags
    return is_raw or bool(tags.get(_REDUCED, 0) & 1)


def _tiff_tags(head: bytes) -> dict[int, int]:
    """Tag number -> value (or its offset) of the first directory of a classic TIFF, as far as it is there."""
    if not head.startswith(_TIFF_STARTS[:2]):
        return {}
    order = "little" if head.startswith(b"II") else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(head[at : at + size], "little" if order == "little" else "big")

    start = number(4, 4)
    tags = {}
    for index in range(number(start, 2) if start + 2 <= len(head) else 0):
        at = start + 2 + 12 * index
        if at + 12 > len(head):
            break
        tags[number(at, 2)] = number(at + 8, 2 if number(at + 2, 2) == 3 else 4)
    return tags


def _is_ppm(head: bytes) -> bool:
    return head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace() and len(head) > 2


def _is_html(head: bytes) -> bool:
    text = head[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return text.startswith((b"<!doctype html", b"<html", b"<head", b"<body"))


FORMATS: tuple[Format, ...] = (
    Format("JPEG", _with(b"\xff\xd8\xff"), JpegImageFile, (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo")),
    Format("PNG", _with(b"\x89PNG\r\n\x1a\n"), PngImageFile, (".png", ".apng")),
    Format("WebP", _riff(b"WEBP"), WebPImageFile, (".webp",)),
    Format("BMP", _with(b"BM"), BmpImageFile, (".bmp", ".dib")),
    Format("GIF", _with(b"GIF87a", b"GIF89a"), GifImageFile, (".gif",)),
    Format(
        "TIFF",
        lambda head: head.startswith(_TIFF_STARTS) and not _is_camera_raw(head),
        TiffImageFile,
        (".tif", ".tiff"),
    ),
    Format("AVIF", _is_avif, AvifImageFile, (".avif",)),
    Format("HEIC", _is_heic, HeifImageFile, (".heic", ".heif", ".hif")),
    Format(
        "JPEG 2000",
        _with(b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n"),
        Jpeg2KImageFile,
        (".jp2", ".j2k", ".jpx"),
    ),
    Format("PPM", _is_ppm, PpmImageFile, (".ppm", ".pgm", ".pbm", ".pnm")),
)

_EXPORT = "export it as JPEG, PNG or TIFF with the program that made it"

CAMERA_RAW = Unread(
    "a camera's raw file",
    _is_camera_raw,
    "develop it to JPEG or TIFF, as darktable-cli, RawTherapee or the camera maker's program do",
    is_image=True,
)

UNREAD: tuple[Unread, ...] = (
    CAMERA_RAW,
    Unread(
        "a JPEG XL image",
        _with(b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
        "convert it: djxl photo.jxl photo.png",
        is_image=True,
    ),
    Unread("a Photoshop document", _with(b"8BPS"), _EXPORT, is_image=True),
    Unread(
        "a web page (HTML), which a download brought instead of the picture", _is_html, "download it again"
    ),
    Unread(
        "a web answer with its header (HTTP), which a download saved before the picture",
        _with(b"HTTP/"),
        "download it again",
    ),
    Unread("a PDF document", _with(b"%PDF"), "export its pictures: pdfimages -png file.pdf picture"),
    Unread(
        "an SVG drawing",
        lambda head: b"<svg" in head[:1024],
        "convert it: rsvg-convert -o a.png a.svg",
        is_image=True,
    ),
    Unread("a ZIP archive", _with(b"PK\3\4", b"PK\5\6"), "unpack it"),
    Unread(
        "a compressed archive", _with(b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"\xfd7zXZ", b"BZh"), "unpack it"
    ),
    Unread(
        "a video",
        lambda head: head[4:8] == b"ftyp" or _riff(b"AVI ")(head) or head.startswith(b"\x1aE\xdf\xa3"),
        "save frames of it: ffmpeg -i video.mp4 -vf fps=1 frame_%04d.jpg",
    ),
    Unread("a Git LFS pointer, not the picture", _with(b"version https://git-lfs"), "fetch it: git lfs pull"),
    Unread("a file of zero bytes only", lambda head: bool(head) and not head.strip(b"\0"), "copy it again"),
)


def find_format(head: bytes) -> Format | None:
    """The format that is read and that a file's first bytes declare, if any."""
    return next((each for each in FORMATS if each.begins(head)), None)


def has_image_ending(path: str) -> bool:
    """Whether a file's name promises an image, of a format that is read or not."""
    ending = PurePosixPath(path).suffix.lower()
    promised = any(ending in each.endings for each in FORMATS)
    return promised or (mimetypes.guess_type(f"a{ending}")[0] or "").startswith("image/")


def has_other_ending(path: str, name: str) -> bool:
    """Whether a file's name promises another format than `name`, which its bytes declare."""
    ending = PurePosixPath(path).suffix.lower()
    return any(ending in each.endings and each.name != name for each in FORMATS)


def find_unread(head: bytes) -> Unread | None:
    """What a file is that is not read, if it is known."""
    known = next((each for each in UNREAD if each.begins(head)), None)
    if known is not None or find_format(head) is not None:
        return known
    Image.preinit()
    Image.init()
    start = head[:_ACCEPTED_BYTES].ljust(_ACCEPTED_BYTES, b"\0")
    for name, (_, accept) in Image.OPEN.items():
        is_image = Image.MIME.get(name, "").startswith("image/")
        if is_image and accept is not None and accept(start) is True:
            return Unread(f"an image of the format {name}", _with(b""), _EXPORT, is_image=True)
    return None


def refuse_format(head: bytes) -> ImageError:
    """The error that names what a file is which is no image that is read."""
    if not head:
        return ImageError(EMPTY_FILE)
    known = find_unread(head)
    if known is None:
        is_text = head.isascii() and b"\0" not in head
        what = "not a picture but text; put one in its place" if is_text else f"no known picture; {_EXPORT}"
        return ImageFormatError(f"{what} (it begins with {head[:8]!r})")
    return ImageFormatError(f"{known.name}; {known.advice}")

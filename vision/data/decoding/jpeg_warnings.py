"""What libjpeg warns of while Pillow decodes a JPEG: the mark of damage that Pillow itself drops.

libjpeg fills what is missing with grey and counts a warning in its error manager (`jpeg_error_mgr` of
jpeglib.h, unchanged since libjpeg 6b). Pillow has no call that reads it, so it is read from the memory of
Pillow's decoder. Where it lies depends on Pillow's version, which the lock pins; before the first use it is
proven on a whole and on a damaged JPEG.
"""

from __future__ import annotations

import ctypes
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import PIL
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

_DECODER_NAME = "jpeg_with_warnings"


@dataclass(frozen=True)
class _Layout:
    """Bytes from the decoder to its pointer to the state, and in the state to the error manager's pointer."""

    state: int
    manager: int


_LAYOUTS: Mapping[str, _Layout] = MappingProxyType({"13.0": _Layout(state=104, manager=16)})
"""By Pillow's version, on 64-bit systems."""


class _ErrorManager(ctypes.Structure):
    """The first fields of `struct jpeg_error_mgr` of jpeglib.h."""

    _fields_ = (
        ("error_exit", ctypes.c_void_p),
        ("emit_message", ctypes.c_void_p),
        ("output_message", ctypes.c_void_p),
        ("format_message", ctypes.c_void_p),
        ("reset_error_mgr", ctypes.c_void_p),
        ("msg_code", ctypes.c_int),
        ("msg_parm", ctypes.c_char * 80),
        ("trace_level", ctypes.c_int),
        ("num_warnings", ctypes.c_long),
    )


@dataclass
class JpegWarnings:
    """Number of warnings of one decoding; any of them says that pixels are missing or wrong."""

    count: int = 0


def watch(image: JpegImageFile) -> JpegWarnings:
    """The warnings of the image's next `load`; they are there when it returns.

    Raises:
        RuntimeError: another version of Pillow than the lock has.
    """
    _prove_layout()
    return _watch(image)


def _watch(image: JpegImageFile) -> JpegWarnings:
    warnings = JpegWarnings()
    image.tile = [
        tile._replace(codec_name=_DECODER_NAME, args=(warnings, *_as_tuple(tile.args))) for tile in image.tile
    ]
    return warnings


class _WatchedDecoder:
    """Pillow's JPEG decoder, whose warnings are read before it is freed."""

    pulls_fd = False

    def __init__(self, mode: str, warnings: JpegWarnings, *args: Any) -> None:
        self._decoder: Any = Image._getdecoder(mode, "jpeg", args)
        self._warnings = warnings
        self.setimage, self.decode = self._decoder.setimage, self._decoder.decode

    def cleanup(self) -> None:
        """Read the warnings, then free what libjpeg holds."""
        manager = _manager_of(self._decoder)
        if manager is not None:
            self._warnings.count = manager.num_warnings
        self._decoder.cleanup()


Image.register_decoder(_DECODER_NAME, _WatchedDecoder)  # type: ignore[arg-type]


def _as_tuple(args: Any) -> tuple[Any, ...]:
    return args if isinstance(args, tuple) else (args,)


def _manager_of(decoder: object) -> _ErrorManager | None:
    """The error manager of libjpeg in a decoder; None where it has decoded nothing yet."""
    layout = _LAYOUTS[_version()]
    state = ctypes.c_void_p.from_address(id(decoder) + layout.state).value
    manager = ctypes.c_void_p.from_address(state + layout.manager).value if state else None
    return _ErrorManager.from_address(manager) if manager else None


def _version() -> str:
    return ".".join(PIL.__version__.split(".")[:2])


@cache
def _prove_layout() -> None:
    """Count the warnings of a whole and of a damaged JPEG.

    Raises:
        RuntimeError: they are not none and some.
    """
    if _version() not in _LAYOUTS or ctypes.sizeof(ctypes.c_void_p) != 8:
        raise RuntimeError(
            f"Pillow {PIL.__version__} on {ctypes.sizeof(ctypes.c_void_p) * 8} bits cannot tell damaged "
            f"JPEGs from whole ones. Expected Pillow {' or '.join(_LAYOUTS)} on 64 bits. Install the "
            "versions of requirements.txt."
        )
    with io.BytesIO() as buffer:
        Image.effect_noise((64, 64), 60).save(buffer, "JPEG", quality=90)
        whole = buffer.getvalue()
    counts = [_count(raw) for raw in (whole, whole[: len(whole) // 2] + b"\xff\xd9")]
    if counts[0] != 0 or not 1 <= counts[1] < 100:
        raise RuntimeError(
            f"Pillow {PIL.__version__}: a whole and a damaged JPEG gave {counts[0]} and {counts[1]} "
            "warnings. Expected none and some. Install the versions of requirements.txt."
        )


def _count(raw: bytes) -> int:
    image = JpegImageFile(io.BytesIO(raw))
    warnings = _watch(image)
    image.load()
    return warnings.count

"""Small image files as people have them, made here."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms
from pillow_heif import register_heif_opener

register_heif_opener()

COLOURS = ((200, 40, 40), (40, 160, 60), (50, 60, 190), (220, 200, 60))
"""Of the quadrants of `quadrants`: upper left, upper right, lower left, lower right."""


def quadrants(side: int = 48, colours: Sequence[Sequence[int]] = COLOURS) -> NDArray[np.uint16]:
    """(side, side, 3): four quadrants of one colour each."""
    half = side // 2
    rows = np.array([[colours[0], colours[1]], [colours[2], colours[3]]], dtype=np.uint16)
    return rows.repeat(half, axis=0).repeat(half, axis=1)


def eight(samples: NDArray[np.uint16]) -> Image.Image:
    return Image.fromarray(samples.astype(np.uint8))


def noise(side: int = 96) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))


def encode(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def deep_png(samples: NDArray[np.uint16], *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG of 16 bits a sample, grey (h, w) or colour (h, w, 3), with further chunks before its pixels."""
    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples.reshape(height, -1))
    kind = 0 if samples.ndim == 2 else 2
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    between = b"".join(chunk(*each) for each in extra)
    start = b"\x89PNG\r\n\x1a\n" + header + between
    return start + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def swapped_profile() -> bytes:
    """A colour profile whose first channel is blue and whose third is red, of sRGB's own numbers."""
    raw = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    places = {}
    for index in range(int.from_bytes(raw[128:132], "big")):
        at = 132 + 12 * index
        places[bytes(raw[at : at + 4])] = slice(at + 4, at + 12)
    red, blue = places[b"rXYZ"], places[b"bXYZ"]
    raw[red], raw[blue] = raw[blue], raw[red]
    return bytes(raw)

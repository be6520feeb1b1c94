"""Reads a JPEG strictly: Pillow passes over what libjpeg warns of, such as pixels that are missing.

libjpeg fills what is missing with grey and warns. TurboJPEG can be told to stop at a warning.
"""

from __future__ import annotations

import numpy as np
import simplejpeg
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from vision.data.decoding.opening import END_OF_IMAGE

_COLOURS = {"RGB": "RGB", "L": "GRAY"}


def read_strictly(raw: bytes, image: JpegImageFile) -> Image.Image | None:
    """The pixels that Pillow's `load` gives, bit by bit, in half of its time; None where it must tell itself.

    None where libjpeg warns, or the colours are not those of RGB or grey. The image is opened, with its
    `draft` chosen.
    """
    colours = _COLOURS.get(image.mode)
    if colours is None:
        return None
    width, height = image.size
    try:
        full_height, full_width, *_ = simplejpeg.decode_jpeg_header(raw)
        scale = max(1, round(max(full_width / width, full_height / height)))
        pixels: np.ndarray = simplejpeg.decode_jpeg(
            _ended(raw), colours, min_height=height, min_width=width, min_factor=scale, strict=True
        )
    except ValueError:
        return None
    if pixels.shape[:2] != (height, width):
        return None
    loaded = Image.fromarray(pixels[..., 0] if image.mode == "L" else pixels)
    loaded.info = image.info
    return loaded


def find_jpeg_damage(raw: bytes, mode: str) -> str:
    """What libjpeg warns of; empty where all pixels are there, with or without an end mark.

    `mode` is Pillow's name of the colour space in which it lies.
    """
    try:
        simplejpeg.decode_jpeg(
            _ended(raw),
            "CMYK" if mode == "CMYK" else "GRAY",
            fastdct=True,
            fastupsample=True,
            min_height=1,
            min_width=1,
            min_factor=8,
            strict=True,
        )
    except ValueError as error:
        return str(error)
    return ""


def _ended(raw: bytes) -> bytes:
    return raw if raw.endswith(END_OF_IMAGE) else raw + END_OF_IMAGE

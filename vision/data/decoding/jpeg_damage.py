"""Whether pixels of a JPEG are missing or wrong: what libjpeg warns of, which Pillow does not pass on.

libjpeg fills what is missing with grey and warns. TurboJPEG can be told to stop at a warning, so each JPEG is
decoded once more, grey and at the smallest scale, which reads all of its data.
"""

from __future__ import annotations

import simplejpeg

from vision.data.decoding.opening import END_OF_IMAGE


def find_jpeg_damage(raw: bytes, mode: str) -> str:
    """What libjpeg warns of; empty where all pixels are there, with or without an end mark.

    Args:
        raw: the file's bytes.
        mode: Pillow's name of the colour space in which it lies.
    """
    whole = raw if raw.endswith(END_OF_IMAGE) else raw + END_OF_IMAGE
    try:
        simplejpeg.decode_jpeg(
            whole,
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

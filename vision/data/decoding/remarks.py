"""What is worth telling of a picture that is used all the same."""

from __future__ import annotations

from enum import StrEnum


class Remark(StrEnum):
    """Something odd about a usable image; the value stands before the number of such images."""

    DAMAGED = "damaged pictures, used as far as they go (dataset.keep_damaged)"
    NO_END_MARK = "pictures without an end mark, or with padding before it; all their pixels are there"
    FEW_BITS = "pictures of 10, 12 or 14 bits in 16, brightened to the full range"
    ALL_TRANSPARENT = "wholly transparent pictures, whose colours were used without the transparency"
    PROFILE = "pictures with a colour profile, converted to sRGB"
    OTHER_ENDING = "pictures of another format than their file names say, read by their bytes"

"""What is worth telling of a picture that is used all the same."""

from __future__ import annotations

from enum import StrEnum


class Remark(StrEnum):
    """Something odd about a usable image; the value completes "12 pictures ..."."""

    DAMAGED = "are damaged and a part of them is missing; they are used, because dataset.keep_damaged says so"
    NO_END_MARK = "have no end mark or padding behind it; all their pixels are there"
    FEW_BITS = "use 10, 12 or 14 of 16 bits and were brightened to the full range"
    ALL_TRANSPARENT = "are wholly transparent; their colours were used without the transparency"
    PROFILE = "have a colour profile and were converted to sRGB"
    OTHER_ENDING = "are of another format than their file names say"

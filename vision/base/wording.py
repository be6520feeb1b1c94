"""Numbers and lists in sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

NOTHING = "n/a"
NOISE = 1e-9
"""What arithmetic may add to a share: 1 - 0.95 is more than 0.05."""


def join_words(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def shorten(name: str, longest: int = 24) -> str:
    """A name of at most so many signs, without its middle: what tells names apart is often at their end."""
    if len(name) <= longest:
        return name
    half = (longest - 1) // 2
    return f"{name[:half].rstrip()}…{name[half + 1 - longest :].lstrip()}"


def count_of(number: float, noun: str) -> str:
    """`1 image`, `1,200 images`, `0 more groups`, `1.5 days`: a number and its noun, which takes s or es."""
    figure = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{figure} {noun_for(number, noun)}"


def noun_for(number: float, noun: str) -> str:
    """The noun of a number that stands elsewhere: singular for one, else with s or es."""
    if number == 1:
        return noun
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


def whole_percent(share: float) -> int:
    """A share in whole per cent, half up."""
    return math.floor(100 * share + 0.5 + NOISE)


def format_hundred(share: float) -> str:
    """A share as so many of 100, half up: `72`; with a decimal near none and all; n/a for NaN."""
    if math.isnan(share):
        return NOTHING
    whole = str(whole_percent(share))
    return in_tenths(share) if whole in ("0", "100") and share not in (0, 1) else whole


def in_tenths(share: float) -> str:
    """A share of 100 with one decimal, which is 0 or 100 for none and for all alone."""
    told = f"{100 * share:.1f}"
    if told == "0.0" and share > 0:
        return "under 0.1"
    return "over 99.9" if told == "100.0" and share < 1 else told

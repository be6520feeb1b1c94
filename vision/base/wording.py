"""Numbers and lists in sentences."""

from __future__ import annotations

from collections.abc import Sequence


def join_words(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def count_of(number: float, noun: str) -> str:
    """`1 image`, `1,200 images`, `0 more groups`, `1.5 days`: a number and its noun, which takes s or es."""
    figure = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{figure} {noun_for(number, noun)}"


def noun_for(number: float, noun: str) -> str:
    """The noun of a number that stands elsewhere: singular for one, else with s or es."""
    if number == 1:
        return noun
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"

"""Names of classes and groups: one normal form, one key to compare them by, and what they may hold.

A name is shown as its owner spells it, in NFC, the form that most systems type. Names are compared without
case, without the form of their letters and without characters that do not show, so that a folder made on
another system is the same class.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

_JOINERS = frozenset("\u200b\u200c\u200d")
"""Do not show, but belong to the spelling of Persian, Indic scripts, Khmer, Thai and of joined emoji."""

_HIDDEN = frozenset(
    "\u00ad\u061c\u180e\u200e\u200f\ufeff\ufff9\ufffa\ufffb"
    + "".join(chr(code) for code in (*range(0x202A, 0x202F), *range(0x2060, 0x2070)))
)
"""Format characters that no spelling needs: marks of direction, soft hyphen, byte order mark."""


def normalise(name: str) -> str:
    """The name in NFC: how it looks stays, how its accents are stored is one way."""
    return unicodedata.normalize("NFC", name)


@lru_cache(maxsize=2**16)
def comparison_key(name: str) -> str:
    """What two names share that differ only in case, in form, in kinds of space or in what does not show."""
    folded = normalise(normalise(name).casefold())
    seen = "".join(each for each in folded if not _is_hidden(each))
    return " ".join(seen.split())


def find_hidden(name: str) -> str | None:
    """The first character of a name that would not show, in words; None if all do.

    A joiner is right between two letters or signs outside ASCII, where it is part of the spelling.
    """
    for index, each in enumerate(name):
        if each in _JOINERS and _is_within_word(name, index):
            continue
        kind = unicodedata.category(each)
        if each in _JOINERS or each in _HIDDEN or kind in ("Cc", "Cs", "Zl", "Zp"):
            title = unicodedata.name(each, "a control character")
            return f"{title} (U+{ord(each):04X}) at place {index + 1}"
    return None


def isolate(name: str) -> str:
    """The name for a sentence: if it runs from right to left, it does not turn what is beside it."""
    runs_left = any(unicodedata.bidirectional(each) in ("R", "AL", "AN") for each in name)
    return f"\u2068{name}\u2069" if runs_left else name


def find_near(name: str, names: Iterable[str], cutoff: float = 0.7) -> str | None:
    """The name that was probably meant: equal in all but case and form, else the most similar one."""
    by_key = {comparison_key(each): each for each in sorted(names, reverse=True)}
    key = comparison_key(name)
    near = [key] if key in by_key else difflib.get_close_matches(key, sorted(by_key), n=1, cutoff=cutoff)
    return by_key[near[0]] if near else None


def _is_within_word(name: str, index: int) -> bool:
    around = (name[index - 1 : index], name[index + 1 : index + 2])
    return all(each and not each.isascii() and not each.isspace() for each in around)


def _is_hidden(each: str) -> bool:
    is_selector = "\ufe00" <= each <= "\ufe0f"
    return each in _JOINERS or each in _HIDDEN or is_selector

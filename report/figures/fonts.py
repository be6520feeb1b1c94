"""Fonts for names of every script: found on this machine, or said to be missing."""

from __future__ import annotations

import logging
import unicodedata
from functools import cache
from pathlib import Path

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

USUAL = "DejaVu Sans"
_PACKAGES = "fonts-noto-core and fonts-noto-cjk on Debian and Ubuntu"

logger = logging.getLogger(__name__)
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # else it tells of each missing weight


def set_fonts(figure: Figure) -> str:
    """Give all texts of a figure the fonts that they need; the characters that no font has."""
    texts = [each for each in figure.findobj(Text) if isinstance(each, Text) and each.get_text()]
    families, missing = find_fonts(frozenset(character for each in texts for character in each.get_text()))
    if len(families) > 1:
        for each in texts:
            each.set_fontfamily(list(families))
    return missing


def describe_missing(missing: str) -> str:
    """What to install for characters that no font of this machine has; the scripts by their Unicode names."""
    words = {unicodedata.name(each, "newer signs").split()[0] for each in missing}
    scripts = ", ".join(
        sorted({"CJK": "Chinese", "newer": "signs"}.get(word, word.title()) for word in words)
    )
    return f"No font on this machine has the letters: {scripts}. Install {_PACKAGES}"


@cache
def find_fonts(characters: frozenset[str]) -> tuple[tuple[str, ...], str]:
    """The families that draw the characters, the usual one first, and the characters that none has."""
    lacking = {ord(each) for each in characters if _is_drawn(each)} - _coverage(
        str(font_manager.findfont(USUAL))
    )
    families = [USUAL]
    while lacking:
        covered = {path: len(lacking & _coverage(path)) for path in _installed()}
        best = max(covered, key=lambda path: (covered[path], _is_plain(path)), default=None)
        if best is None or not covered[best]:
            break
        font_manager.fontManager.addfont(best)
        families.append(font_manager.FontProperties(fname=best).get_name())
        lacking -= _coverage(best)
    missing = "".join(map(chr, sorted(lacking)))
    if missing:
        _warn(describe_missing(missing))
    return tuple(families), missing


@cache
def _warn(words: str) -> None:
    """Log what is missing, once."""
    logger.warning("%s; until then charts show boxes in their place.", words)


@cache
def _installed() -> tuple[str, ...]:
    return tuple(sorted(font_manager.findSystemFonts()))


@cache
def _coverage(path: str) -> frozenset[int]:
    """The characters of a font that can be drawn at any size; none of a file that is no such font."""
    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):
        return frozenset()
    return frozenset(font.get_charmap()) if font.scalable else frozenset()


def _is_plain(path: str) -> bool:
    """Whether a font is upright and of usual weight, by its file name."""
    name = Path(path).name.lower()
    return not any(word in name for word in ("bold", "italic", "oblique", "mono", "serif", "light", "black"))


def _is_drawn(character: str) -> bool:
    """Whether a character has a shape of its own; joiners, selectors and line breaks have none."""
    is_selector = "\ufe00" <= character <= "\ufe0f"
    return unicodedata.category(character) not in ("Cc", "Cf") and not is_selector

"""Which pictures belong together, as far as their names tell: frames of one individual, of one visit.

A few ways in which names are made are tried, from the most telling on; the first that divides the pictures
sensibly is suggested as a pattern for `dataset.group_by`. Names that tell nothing of the kind (IMG_1234, a
number, a time, a hash) give no pattern: one that would put a large part of a class into one group is refused.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import median

from vision.config.data import AUTO_GROUPS
from vision.data.manifest import SourceFile
from vision.data.records import ImageEntry

FEWEST_GROUPS = 4
"""Of each known class: one for each of the four splits."""

LARGEST_SHARE = 1 / 3
"""Of a class, in one group."""

LARGEST_MEDIAN = 50
"""Pictures of a usual group; larger ones are cameras or years, not individuals or visits."""

FEWEST_MATCHES = 0.5
"""Share of the names that a pattern must fit."""

MOST_GROUPS = 0.8
"""Groups an image; above it hardly any two pictures belong together."""

FEWEST_COPIES = 0.1
"""Share of the names that must end in a word for a copy."""

FEWEST_BARE_WORDS = 8
"""Groups of each class where some are words without a number (nemo_1, dory_1)."""

MOST_KINDS = 3
"""Kinds of endings that a pattern names one by one; more are written as a rule."""

_LOOSE_FORMS = 4
"""The forms from here on may take a copy's number for a picture's."""

_END = r"(?:\.[A-Za-z0-9]+)+$"
_GAP = "[-_. ]+"
_NO_GAP = "[-_. ]*"
_FRAME = "(?:frame|frm|fr|f|img|image|pic|photo|shot|view|crop|cut|still|rep|take)"
_PART = "(?:tile|patch|row|col|x|y|r|c)"
_COPY = re.compile(
    r"[-_. ]+((?:aug|copy|(?:h|v)?flip|mirror|rot|nois|blur|bright|crop|zoom|shear|orig)[a-z]*)[-_. ]*\d*"
    rf"{_END}",
    re.IGNORECASE,
)

_YEAR = r"(?:19|20)\d\d"
_DATE = rf"{_YEAR}([-_.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])"
_TIME = r"(?:[01]\d|2[0-3])[-_.:h]?[0-5]\d(?:[-_.:m]?[0-5]\d)?\d{0,3}"
_ENDS_IN_TIME = re.compile(rf"(?<!\d){_DATE}(?:[-_. T]+(?:at )?{_TIME})?{_END}")
_YEARS = re.compile(rf"(?<!\d){_YEAR}(?!\d)")


@dataclass(frozen=True)
class Form:
    """One way in which names tell what belongs together.

    `tail` is a regular expression for what follows the group, without the file's ending.
    """

    tail: str
    why: str


_FORMS = (
    Form(r"\.rf\.[0-9A-Za-z]{8,}", "the name before .rf."),
    Form(f"{_GAP}(?:{_PART}{_NO_GAP}\\d+{_GAP})+{_PART}{_NO_GAP}\\d+", "the name before the tile's place"),
    Form(f"(?:{_GAP}|(?<=\\d)){_FRAME}{_NO_GAP}\\d+", "the name before the number of the picture"),
    Form(f"{_GAP}\\(?\\d+\\)?", "the name before the last number"),
    Form(f"{_GAP}[A-Za-z]{{1,8}}\\d+", "the name before its last part"),
    Form(r"(?<=\d)[A-Za-z]", "the name before its last letter"),
)


@dataclass(frozen=True)
class Suggestion:
    """What the names tell of groups.

    Attributes:
        pattern: for `dataset.group_by`; `auto` where no pattern says it; None where the names tell nothing.
        num_groups: that the pattern makes of them; an image that it does not fit is one of its own.
        groups: group of each picture; None where it is one of its own.
    """

    pattern: str | None
    num_images: int
    num_groups: int
    why: str
    groups: tuple[str | None, ...] = ()

    def sentence(self) -> str:
        """What was found, for a person."""
        if self.pattern is None:
            return f"The names of the {self.num_images:,} pictures tell no groups ({self.why})."
        return (
            f"These {self.num_images:,} pictures look like about {self.num_groups:,} individuals, visits or "
            f"clips ({self.why} repeats)."
        )

    def setting(self) -> str:
        """The line for the configuration, in YAML's quotes; empty where there is no pattern."""
        if self.pattern == AUTO_GROUPS:
            return f"group_by: {AUTO_GROUPS}"
        return "" if self.pattern is None else "group_by: '" + self.pattern.replace("'", "''") + "'"


def suggest_groups(files: Sequence[SourceFile | ImageEntry]) -> Suggestion:
    """The pattern that fits the names of some pictures, or why there is none.

    Groups that the files have are not looked at.
    """
    if not files:
        return Suggestion(None, 0, 0, "there are none")
    words = _copy_words(files)
    copies = f"(?:{_GAP}(?i:{'|'.join(words)}){_NO_GAP}\\d*)*" if words else ""
    forms = [Form(form.tail + copies, form.why) for form in _FORMS]
    if copies:
        forms.insert(_LOOSE_FORMS, Form(copies, f"the name without {' or '.join(words)}"))
    for form in forms:
        found = _read(files, f"^(?P<group>.+?)(?P<tail>{form.tail}){_END}")
        if found is not None:
            return Suggestion(found[0], len(files), found[1], form.why, found[2])
    if min(file.path.count("/") for file in files) > 1:
        found = _read(files, r"/(?P<group>[^/]+)(?P<tail>/[^/]+)$")
        if found is not None:
            return Suggestion(found[0], len(files), found[1], "the folder below the class", found[2])
    return Suggestion(None, len(files), len(files), "numbers, times or names of their own")


def _copy_words(files: Sequence[SourceFile | ImageEntry]) -> list[str]:
    """Words at the end of many names that say how a copy was made: aug, flipped."""
    found = [match[1].lower() for match in map(_COPY.search, (file.path for file in files)) if match]
    return sorted({re.escape(word) for word in found}) if len(found) >= FEWEST_COPIES * len(files) else []


def _read(
    files: Sequence[SourceFile | ImageEntry], pattern: str
) -> tuple[str, int, tuple[str | None, ...]] | None:
    """Pattern, number of groups and groups, if a pattern with group and tail divides the pictures sensibly.

    Where most groups are found in several classes, each class numbers its own: individual 1 of one class is
    not individual 1 of another, and the pattern reads the class's folder too; `auto` knows it otherwise.
    """
    matches = _match(pattern, files)
    if sum(match is not None for match in matches) < FEWEST_MATCHES * len(files):
        return None
    shared = [match and match["group"] for match in matches]
    owned = [text and f"{file.class_name}/{text}" for file, text in zip(files, shared, strict=True)]
    short = _shorten({match["tail"] for match in matches if match is not None})
    group = "(?P<group>[^/]+/[^/]+?)"
    options = [(f"^(?P<group>{short}", shared), (pattern.replace("(?P<tail>", "(?:"), shared)]
    if _mostly_span(files, shared):
        own = pattern.replace("^(?P<group>.+?)", group).replace("/(?P<group>[^/]+)", group)
        options = [
            (f"(?P<group>[^/]+/{short}", owned),
            (own.replace("(?P<tail>", "(?:"), owned),
            (AUTO_GROUPS, owned),
        ]
    for option, groups in options:
        if option == AUTO_GROUPS or [match and match["group"] for match in _match(option, files)] == groups:
            names = [group or file.path for group, file in zip(groups, files, strict=True)]
            bare = {
                group for group, text in zip(names, shared, strict=True) if text and not _identifies(text)
            }
            return (option, len(set(names)), tuple(groups)) if _divides_sensibly(files, names, bare) else None
    return None


def _match(pattern: str, files: Sequence[SourceFile | ImageEntry]) -> list[re.Match[str] | None]:
    """What a pattern finds in each name, or in the path if it holds a slash before the tail; not in times."""
    compiled = re.compile(pattern)
    whole = "/" in pattern
    texts = [file.path if whole else file.path.rpartition("/")[2] for file in files]
    return [None if _ENDS_IN_TIME.search(text) else compiled.search(text) for text in texts]


def _shorten(tails: Collection[str]) -> str:
    """What follows `(?P<group>` in a pattern that names the tails, `_frame12` and `_frame7` by their words.

    Where there are more than a few kinds of them it fits nothing.
    """
    kinds = sorted({re.sub(r"\d+", "0", tail) for tail in tails})
    if len(kinds) > MOST_KINDS:
        return r"(?!))"
    words = [re.escape(kind).replace("0", r"\d+").replace(r"\-", "-").replace(r"\ ", " ") for kind in kinds]
    joined = "|".join(word for word in words if word)
    if "" in words:
        return rf".+?)(?:{joined})?\."
    return rf".+)(?:{joined})\." if len(words) > 1 else rf".+){joined}\."


def _mostly_span(files: Sequence[SourceFile | ImageEntry], groups: Sequence[str | None]) -> bool:
    classes: dict[str, set[str]] = defaultdict(set)
    for file, group in zip(files, groups, strict=True):
        if group is not None:
            classes[group].add(file.class_name)
    return sum(len(own) > 1 for own in classes.values()) > len(classes) / 2


def _identifies(text: str) -> bool:
    """Whether a group's name has a number that is no year: a word alone may be a camera's or a class's."""
    return any(sign.isdigit() for sign in _YEARS.sub("", text))


def _divides_sensibly(
    files: Sequence[SourceFile | ImageEntry], groups: Sequence[str], bare: Collection[str]
) -> bool:
    """Whether no class is lumped: enough groups of each, none too large, and some that repeat."""
    sizes = Counter(groups)
    if len(sizes) > MOST_GROUPS * len(files) or median(sizes.values()) > LARGEST_MEDIAN:
        return False
    by_class: dict[str, Counter[str]] = defaultdict(Counter)
    for file, group in zip(files, groups, strict=True):
        by_class[file.class_name][group] += 1
    for own in by_class.values():
        num_bare = sum(group in bare for group in own)
        fewest = FEWEST_BARE_WORDS if num_bare else FEWEST_GROUPS
        if len(own) < fewest or max(own.values()) > LARGEST_SHARE * own.total():
            return False
    return True

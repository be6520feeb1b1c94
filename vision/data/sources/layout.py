"""What the folders of a source mean, level by level: a split, a class, a group, or a mere place.

A layout is written as the roles of the folders from the root down: `class`, `split/class`, `place/class`,
`class/class`, `class/group`. Folders below the last role mean nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from vision.base.names import normalise
from vision.data.records import Split

Folders = tuple[str, ...]
"""The folders that a file lies in, from the root down."""


class Role(StrEnum):
    """What the folders of one level are."""

    PLACE = "place"
    SPLIT = "split"
    CLASS = "class"
    GROUP = "group"


class LayoutError(ValueError):
    """The folders cannot be read, or in more ways than one; the words say what was found and what to type."""


class AmbiguousLayoutError(LayoutError):
    """The folders can be read in more ways than one."""


class Place(NamedTuple):
    """What a folder means for the images in it.

    Attributes:
        class_name: their class, in NFC; None outside the class folders.
        group: the name of the group folder, if there is one.
        split: the split of the user's own.
        unlabelled: the path of the folder without labels that it is or lies in.
    """

    class_name: str | None
    group: str | None
    split: Split | None
    unlabelled: str | None


@dataclass(frozen=True)
class Layout:
    """The role of each level, and what each split folder is.

    Attributes:
        roles: from the root down.
        splits: folder name -> split.
        unlabelled: folders at the level of splits that hold no class folders.
    """

    roles: tuple[Role, ...]
    splits: Mapping[str, Split] = field(default_factory=dict)
    unlabelled: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return "/".join(self.roles)

    def place_of(self, folder: str) -> Place:
        """What a folder means, by its path from the root."""
        folders = tuple(folder.split("/")) if folder else ()
        name, group = self.class_of(folders), self._named(folders, Role.GROUP)
        return Place(name, group, self.split_of(folders), self.unlabelled_of(folders))

    def class_of(self, folders: Folders) -> str | None:
        """The class of what lies in these folders, in NFC; None where a folder is missing."""
        levels = self.levels(Role.CLASS)
        if len(folders) <= max(levels) or self.unlabelled_of(folders) is not None:
            return None
        return normalise(" ".join(folders[level] for level in levels))

    def split_of(self, folders: Folders) -> Split | None:
        """The split of what lies in these folders, if the layout has splits."""
        name = self._named(folders, Role.SPLIT)
        return None if name is None else self.splits.get(name)

    def unlabelled_of(self, folders: Folders) -> str | None:
        """The path of the folder without labels that these folders lie in, if they do."""
        name = self._named(folders, Role.SPLIT)
        if name is None or name not in self.unlabelled:
            return None
        return "/".join(folders[: self.levels(Role.SPLIT)[0] + 1])

    def levels(self, role: Role) -> list[int]:
        """The levels of a role."""
        return [level for level, own in enumerate(self.roles) if own is role]

    def count_classes(self, folders: Counter[Folders]) -> Counter[str]:
        """Images of each class."""
        counts: Counter[str] = Counter()
        for each, count in folders.items():
            name = self.class_of(each)
            if name is not None:
                counts[name] += count
        return counts

    def _named(self, folders: Folders, role: Role) -> str | None:
        return next((folders[level] for level in self.levels(role) if level < len(folders)), None)


@dataclass(frozen=True)
class Hints:
    """What else tells which level is meant: names of classes, and that a single folder may be one.

    The names are of the source that is added to, or held out by the configuration.
    """

    classes: Collection[str] = ()
    group_by: re.Pattern[str] | None = None
    may_be_one_class: bool = False


def names_at(folders: Iterable[Folders], level: int) -> list[str]:
    """The names of the folders of one level, sorted."""
    return sorted({each[level] for each in folders if len(each) > level})

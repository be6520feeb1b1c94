"""The groups of pictures, as far as their names tell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from vision.base.names import comparison_key, normalise
from vision.config.data import AUTO_GROUPS
from vision.data.groups.grouping import suggest_groups
from vision.data.manifest import SourceFile
from vision.prediction.items import Item

MOST_NAMES = 100_000
"""From which a pattern is learnt; of more, from the first."""


def group_items(items: Sequence[Item], group_by: str | None) -> list[Item]:
    """The items with the groups that their names tell; those that have one keep it.

    `group_by` is a pattern with a part named `group`, `auto` or None, as of `open_items`.
    """
    pattern = _find_pattern(group_by, items)
    return list(items) if pattern is None else [_with_group(each, pattern) for each in items]


def _find_pattern(group_by: str | None, items: Sequence[Item]) -> re.Pattern[str] | None:
    """The pattern of groups, None where there is none."""
    if group_by == AUTO_GROUPS:  # classes are not known here: all pictures count as of one
        files = [SourceFile(each.path, "", None) for each in items[:MOST_NAMES]]
        group_by = suggest_groups(files).pattern
    pattern = re.compile(group_by) if group_by else None
    return pattern if pattern is not None and "group" in pattern.groupindex else None


def _with_group(item: Item, pattern: re.Pattern[str]) -> Item:
    """The item with the group that its name tells, unless it has one."""
    if item.group is not None:
        return item
    text = normalise(item.path)
    match = pattern.search(text if "/" in pattern.pattern else PurePosixPath(text).name)
    return replace(item, group=comparison_key(match["group"])) if match and match["group"] else item

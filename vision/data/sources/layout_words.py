"""What is said of folders that cannot be read, or in more ways than one: what was found, what to type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from vision.base.wording import count_of
from vision.data.records import Split
from vision.data.sources.layout import Folders, Layout, Role

_MOST_NAMED = 6
TYPE = "--set dataset.layout="
"""What a person types before a layout."""


def describe_readings(
    folders: Counter[Folders],
    above: tuple[Role, ...],
    readings: Sequence[tuple[Role, ...]],
    *,
    with_groups: bool,
) -> str:
    """Every reading with its classes and their counts, and the setting that chooses."""
    lines = []
    for reading in readings:
        layout = Layout((*above, *reading))
        lines.append((str(layout), _count_words(layout.count_classes(folders))))
        if reading == (Role.CLASS,) and with_groups:
            words = "the same classes; a folder below is a group, which stays in one split"
            lines.append((str(Layout((*above, Role.CLASS, Role.GROUP))), words))
    width = max(len(layout) for layout, _ in lines)
    listed = "\n".join(f"  {TYPE}{layout:{width}}  {words}" for layout, words in lines)
    return (
        "the folders lie in folders, and can be read in more than one way. Expected to be told which one is "
        f"meant. Type one of:\n{listed}"
    )


def describe_no_training(names: Sequence[str], splits: Mapping[str, Split], above: tuple[Role, ...]) -> str:
    """Folders that are named like splits, without classes or without one for training."""
    setting = "/".join([*above, Role.CLASS])
    if Split.TRAIN in splits.values():
        found = (
            f"{list_folders(names)} are named like splits and hold no class folders, so that no image has a "
            "class. Expected one folder per class in each."
        )
    else:
        found = f"has {list_folders(names)} but no train/ with images. Expected a tree to train on too."
    return f"{found} If these names are classes, type {TYPE}{setting}."


def list_folders(names: Iterable[str]) -> str:
    """Folder names as a list in a sentence."""
    return " and ".join(f"{name}/" for name in names)


def _count_words(counts: Counter[str]) -> str:
    named = [f"{name} ({count})" for name, count in sorted(counts.items())[:_MOST_NAMED]]
    more = f" and {len(counts) - len(named)} more" if len(counts) > len(named) else ""
    return f"{count_of(len(counts), 'class')}: {', '.join(named)}{more}"

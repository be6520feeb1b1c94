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


def describe_strangers(trees: Sequence[str], strangers: Sequence[str], above: tuple[Role, ...]) -> str:
    """Folders beside the trees of splits that are none."""
    classes, splits = ("/".join([*above, *more]) for more in ([Role.CLASS], [Role.SPLIT, Role.CLASS]))
    return (
        f"has the trees {list_folders(trees)} and beside them {list_folders(strangers)} with images. "
        f"Expected trees of splits, or classes, not both. Move {list_folders(strangers)} away or into a "
        f"tree. If all of them are classes, type {TYPE}{classes}; to leave out what has no class folders, "
        f"type {TYPE}{splits}."
    )


def describe_twins(names: Sequence[str], split: Split) -> str:
    """Two trees for one split."""
    return f"{list_folders(names)} are two trees for {split}. Expected one. Move all images into one of them."


def describe_joined_twins(layout: Layout, names: Sequence[str]) -> str:
    """Different folders that give one class name where the names of several levels are joined."""
    return (
        f"dataset.layout is {layout}, and different folders give the class {names[0]!r} (a space joins the "
        "names). Expected one. Rename one of the folders."
    )


def describe_file_words(classes: Iterable[str], roles: tuple[Role, ...]) -> str:
    """Folders whose names say what the files are."""
    return (
        f"{list_folders(sorted(classes))} say what the files are, not what they show. Expected one folder "
        f"per class, named after it. If these names are classes, type {TYPE}{Layout(roles)}."
    )


def describe_too_deep(roles: tuple[Role, ...], depth: int) -> str:
    """A layout with more levels than the folders have."""
    return (
        f"dataset.layout is {Layout(roles)}, but no image lies {count_of(depth, 'folder')} deep. Correct "
        f"it, or type {TYPE}auto, which lets the folders tell."
    )


def describe_wrong_splits(roles: tuple[Role, ...], names: Sequence[str]) -> str:
    """Folders in the place of a split whose names say none."""
    return (
        f"dataset.layout is {Layout(roles)}, but {list_folders(names)} name no split. Expected words such as "
        "train, val and test. Rename them, or move them away."
    )


def list_folders(names: Iterable[str]) -> str:
    """Folder names as a list in a sentence."""
    return " and ".join(f"{name}/" for name in names)


def _count_words(counts: Counter[str]) -> str:
    named = [f"{name} ({count})" for name, count in sorted(counts.items())[:_MOST_NAMED]]
    more = f" and {len(counts) - len(named)} more" if len(counts) > len(named) else ""
    noun = "class" if len(counts) == 1 else "classes"
    return f"{len(counts)} {noun}: {', '.join(named)}{more}"

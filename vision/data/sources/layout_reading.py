"""From the folders of a source to their layout: the only one that they allow, or the one that is asked for.

Nothing is guessed between two readings that differ in which images are of one class: both are told.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from vision.base.names import comparison_key, normalise
from vision.base.wording import count_of
from vision.data.records import Split
from vision.data.sources.layout import (
    AmbiguousLayoutError,
    Folders,
    Hints,
    Layout,
    LayoutError,
    Role,
    names_at,
)
from vision.data.sources.layout_words import TYPE, describe_no_training, describe_readings, list_folders
from vision.data.sources.split_words import find_split_names, is_named_alike, names_files, words_of

_MOST_OF = 0.9
"""Share of the images from which on the few that lie higher up do not speak against a level of folders."""
_DEEPEST_CLASS = 3

Roles = tuple[Role, ...]


def find_layout(paths: Sequence[str], wanted: str, hints: Hints) -> Layout:
    """The layout of images: the wanted one, or with `auto` the only one that the folders allow.

    Paths are POSIX, from the root; roles are written from the root down.

    Raises:
        LayoutError: the folders do not fit, or can be read in more ways than one.
    """
    folders = Counter(tuple(path.split("/")[:-1]) for path in paths if "/" in path)
    if not folders:
        return Layout((Role.CLASS,))
    if wanted == "auto":
        return _read(folders, hints, paths)
    layout = _apply(tuple(Role(role) for role in wanted.split("/")), folders)
    levels = layout.levels(Role.CLASS)
    parts = {tuple(each[level] for level in levels) for each in folders if len(each) > max(levels)}
    twins = [name for name, count in Counter(map(normalise, map(" ".join, parts))).items() if count > 1]
    if twins and len(levels) > 1:
        raise LayoutError(
            f"dataset.layout is {layout}, and different folders give the class {min(twins)!r} (a space joins "
            "the names). Expected one. Rename one of the folders."
        )
    return layout


def _read(folders: Counter[Folders], hints: Hints, paths: Sequence[str]) -> Layout:
    roles: Roles = ()
    if hints.may_be_one_class and _are_known(names_at(folders, 0), hints.classes):
        return Layout((Role.CLASS,))
    while not hints.may_be_one_class and _is_wrapper(folders, len(roles)):
        roles = (*roles, Role.PLACE)
    splits, unlabelled = _find_trees(folders, roles)
    if not splits:
        return _with_splits((*roles, *_choose(folders, roles, hints, paths)), folders)
    level = len(roles)
    trees = Counter({each: n for each, n in folders.items() if len(each) > level and each[level] in splits})
    roles = (*roles, Role.SPLIT)
    while _is_wrapper_of_each(trees, level, len(roles)):
        roles = (*roles, Role.PLACE)
    return Layout((*roles, *_choose(trees, roles, hints, paths)), splits, unlabelled)


def _are_known(names: Collection[str], classes: Iterable[str]) -> bool:
    """Whether some of the names are classes, and so are all that say a split."""
    known = {comparison_key(name) for name in classes}
    others = [name for name in names if comparison_key(name) not in known]
    return len(others) < len(names) and not find_split_names(others)


def _with_splits(roles: Roles, folders: Counter[Folders]) -> Layout:
    """A layout whose splits, if it has any, lie below the classes."""
    level = next(iter(Layout(roles).levels(Role.SPLIT)), None)
    return Layout(roles, {} if level is None else find_split_names(names_at(folders, level)))


def _is_wrapper(folders: Counter[Folders], level: int) -> bool:
    """Whether all lies in one folder, with folders in it, that is not a split."""
    names = names_at(folders, level)
    return len(names) == 1 and not find_split_names(names) and _is_deep(folders, level + 1)


def _is_wrapper_of_each(trees: Counter[Folders], tree_level: int, level: int) -> bool:
    """Whether each split holds one folder, with folders in it."""
    own: dict[str, set[str]] = defaultdict(set)
    for each in trees:
        if len(each) > level:
            own[each[tree_level]].add(each[level])
    return all(len(names) == 1 for names in own.values()) and _is_deep(trees, level + 1)


def _choose(folders: Counter[Folders], above: Roles, hints: Hints, paths: Sequence[str]) -> Roles:
    """The roles from the level of classes down; LayoutError if two are possible and nothing tells which."""
    level = len(above)
    below = names_at(folders, level + 1)
    if Role.SPLIT not in above and below and _are_all_splits(below):
        return (Role.CLASS, Role.SPLIT)
    readings = _possible(folders, above, fewest=1 if hints.may_be_one_class else 2)
    if len(readings) > 1:
        chosen = _choose_by_hints(folders, above, readings, hints, paths)
        shared = _shared(folders, level)
        if chosen is None and (shared or not _are_numbered(below)):
            raise AmbiguousLayoutError(describe_readings(folders, above, readings, with_groups=bool(shared)))
        return chosen or (Role.CLASS,)
    only = readings[0] if readings else (Role.CLASS,)
    layout = Layout((*above, *only))
    classes = layout.count_classes(folders)
    if len(classes) > 1 and all(map(names_files, classes)):
        raise LayoutError(
            f"{list_folders(sorted(classes))} say what the files are, not what they show. Expected one "
            f"folder per class, named after it. If these names are classes, type {TYPE}{layout}."
        )
    return only


def _choose_by_hints(
    folders: Counter[Folders], above: Roles, readings: Sequence[Roles], hints: Hints, paths: Sequence[str]
) -> Roles | None:
    """The reading in which named classes are classes, or the pattern's groups are no classes."""
    known = {comparison_key(name) for name in hints.classes}
    named = [
        each
        for each in readings
        if known & {comparison_key(name) for name in Layout((*above, *each)).count_classes(folders)}
    ]
    if len(named) == 1:
        return named[0]
    level = _level_of_groups(hints.group_by, paths)
    if level is None or level < len(above):
        return None
    return (Role.CLASS,) if level > len(above) else (Role.PLACE, Role.CLASS)


def _possible(folders: Counter[Folders], above: Roles, fewest: int) -> list[Roles]:
    """Readings that give at least so many classes and differ in what the classes are."""
    candidates: list[Roles] = [(*[Role.PLACE] * depth, Role.CLASS) for depth in range(_DEEPEST_CLASS)]
    candidates.insert(2, (Role.CLASS, Role.CLASS))
    readings: list[Roles] = []
    partitions: list[object] = []
    for reading in candidates:
        if not _is_deep(folders, len(above) + len(reading) - 1):
            continue
        parts: dict[str | None, set[Folders]] = defaultdict(set)
        for each in folders:
            parts[Layout((*above, *reading)).class_of(each)].add(each)
        parts.pop(None, None)
        partition = {frozenset(part) for part in parts.values()}
        is_other = partition not in (partitions[:1] if reading == (Role.CLASS, Role.CLASS) else partitions)
        if len(partition) >= fewest and is_other:
            readings.append(reading)
            partitions.append(partition)
    return readings


def _level_of_groups(pattern: re.Pattern[str] | None, paths: Sequence[str]) -> int | None:
    """The level of folders in which a pattern on whole paths finds most groups; None for file names."""
    if pattern is None or "/" not in pattern.pattern:
        return None
    levels: Counter[int | None] = Counter()
    for path in map(normalise, paths):
        match = pattern.search(path)
        if match and match["group"]:
            level = path[: match.end("group")].rstrip("/").count("/")
            levels[level if level < path.count("/") else None] += 1
    return levels.most_common(1)[0][0] if levels else None


def _shared(folders: Iterable[Folders], level: int) -> set[str]:
    """Names of folders that lie in more than one folder of a level."""
    parents: dict[str, set[str]] = defaultdict(set)
    for each in folders:
        if len(each) > level + 1:
            parents[comparison_key(each[level + 1])].add(each[level])
    return {name for name, own in parents.items() if len(own) > 1}


def _are_all_splits(names: Collection[str]) -> bool:
    splits = find_split_names(names)
    return len(splits) == len(names) > 1 and Split.TRAIN in splits.values()


def _are_numbered(names: Iterable[str]) -> bool:
    """Whether all names hold a number, as dates, sessions and individuals do."""
    return all(any(word.isdigit() for word in words_of(name)) for name in names)


def _is_deep(folders: Counter[Folders], level: int) -> bool:
    """Whether nearly all images lie in a folder of this level."""
    deep = sum(count for each, count in folders.items() if len(each) > level)
    return 0 < deep >= _MOST_OF * sum(folders.values())


# --- trees of splits ------------------------------------------------------------------------------------


def _find_trees(folders: Iterable[Folders], above: Roles) -> tuple[dict[str, Split], frozenset[str]]:
    """Split folders with class folders in them, and folders beside them that hold none; empty if none are.

    Raises:
        LayoutError: names of splits without classes, or with classes beside them, or two of one split.
    """
    level = len(above)
    names = names_at(folders, level)
    splits = find_split_names(names)
    with_classes = {each[level] for each in folders if _holds_classes(each, level)}
    trees = {name: split for name, split in splits.items() if name in with_classes}
    if Split.TRAIN not in trees.values():
        flat = {split for name, split in splits.items() if name not in trees}
        if splits and (len(splits) == len(names) or {Split.TRAIN} < flat):
            raise LayoutError(describe_no_training(sorted(splits), splits, above))
        return {}, frozenset()
    _refuse_twins(trees)
    others = frozenset(names) - trees.keys()
    strangers = sorted(
        name
        for name in others
        if name in with_classes or not (name in splits or (len(trees) > 1 and is_named_alike(name, trees)))
    )
    if strangers:
        listed = list_folders(strangers)
        raise LayoutError(
            f"has the trees {list_folders(sorted(trees))} and beside them {listed} with images. Expected "
            f"trees of splits, or classes, not both. Move {listed} away or into a tree. If all of them are "
            f"classes, type {TYPE}{Layout((*above, Role.CLASS))}; to leave out what has no class folders, "
            f"type {TYPE}{Layout((*above, Role.SPLIT, Role.CLASS))}."
        )
    return trees, others


def _holds_classes(folders: Folders, level: int) -> bool:
    """Whether a folder below this level is more than the same name again, or a word such as images."""
    below = (name for name in folders[level + 1 :] if name != folders[level])
    return not all(map(names_files, below))


def _refuse_twins(trees: Mapping[str, Split]) -> None:
    for split, count in Counter(trees.values()).items():
        if count > 1:
            twins = list_folders(sorted(name for name in trees if trees[name] is split))
            raise LayoutError(
                f"{twins} are two trees for {split}. Expected one. Move all images into one of them."
            )


# --- a layout that the configuration names --------------------------------------------------------------


def _apply(roles: Roles, folders: Counter[Folders]) -> Layout:
    """The wanted layout; LayoutError if no image lies deep enough, or a folder names no split of its tree."""
    layout = Layout(roles)
    depth = max(layout.levels(Role.CLASS)) + 1
    if not layout.count_classes(folders):
        raise LayoutError(
            f"dataset.layout is {layout}, but no image lies {count_of(depth, 'folder')} deep. Correct it, or "
            f"type {TYPE}auto, which lets the folders tell."
        )
    level = next(iter(layout.levels(Role.SPLIT)), None)
    if level is None:
        return layout
    names = names_at(folders, level)
    splits = find_split_names(names)
    deep = {each[level] for each in folders if len(each) >= max(depth, level + 1)}
    strangers = sorted(deep - splits.keys())
    if strangers:
        raise LayoutError(
            f"dataset.layout is {layout}, but {list_folders(strangers)} name no split. Expected words such "
            "as train, val and test. Rename them, or move them away."
        )
    trees = {name: split for name, split in splits.items() if name in deep}
    _refuse_twins(trees)
    if Split.TRAIN not in trees.values():
        raise LayoutError(describe_no_training(sorted(trees), trees, roles[:level]))
    return Layout(roles, trees, frozenset(names) - trees.keys())

"""A folder of images: one folder per class, with splits, places or groups above or below if there are any.

The file's place gives its class, the file's content its format. Hidden files are skipped. Files that look
like images and cannot be used are quarantined with the reason, so that nothing disappears in silence.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath

from vision.base.errors import SourceError
from vision.base.names import comparison_key, find_near, normalise
from vision.base.wording import count_of
from vision.config.data import AUTO_GROUPS, Addition, FolderSource
from vision.config.sources.labelled import LabelledSource
from vision.data.groups.grouping import suggest_groups
from vision.data.manifest import SourceFile, build_manifest
from vision.data.records import FileRemark, Manifest, Quarantined, Split
from vision.data.sources.class_names import check_class_names, check_spelling, check_unknown_classes
from vision.data.sources.declaration import Base, Progress
from vision.data.sources.finding import (
    Found,
    Rules,
    describe_nothing,
    find_images,
    find_root,
    refuse_lost_classes,
    sort_left_out,
)
from vision.data.sources.layout import AmbiguousLayoutError, Hints, Layout, LayoutError, Role
from vision.data.sources.layout_reading import find_layout
from vision.data.sources.layout_words import TYPE, list_folders
from vision.data.sources.neighbours import describe_neighbour

_EXPECTED_ADDITION = "Expected one folder per class"
_WANTED = "one folder per class, or the trees train/, val/ and test/ with one folder per class"
_EXPECTED = f"Expected {_WANTED}"
_READ_AT_ONCE_BYTES = 2**24

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FolderListing:
    """What a folder offers: image files with class and group, and what is left out; sorted by path.

    `remarks` tells of files that are neither.
    """

    files: tuple[SourceFile, ...]
    quarantined: tuple[Quarantined, ...]
    remarks: tuple[FileRemark, ...] = ()

    def base(self, root: Path) -> Base:
        """What additions must fit to."""
        return Base.of(root, ((file.class_name, file.is_unknown) for file in self.files))

    def read(
        self,
        root: Path,
        digest: str,
        settings: FolderSource | Addition | LabelledSource,
        progress: Progress | None,
    ) -> Manifest:
        """The manifest of the files; raises as `build_manifest`."""
        return build_manifest(
            root,
            self.files,
            digest,
            settings.max_megapixels,
            quarantined=self.quarantined,
            remarks=self.remarks,
            keeps_damage=settings.keep_damaged,
            progress=progress,
        )


def list_folder(settings: FolderSource) -> FolderListing:
    """Find the images of a folder without reading them.

    Raises:
        SourceError: the folder is missing, empty, no folder; it mixes trees and classes; it has fewer than
            two known classes; classes differ only in case, or have names that cannot be shown;
            `unknown_classes` or `group_by` match nothing.
    """
    root = find_source(settings)
    found = find_images(root, _rules(settings))
    layout = _find_layout(root, found.images, settings, Hints(settings.unknown_classes))
    files = _classify(settings, layout, found)
    if not files:
        neighbour = describe_neighbour(root, found.images)
        raise SourceError(f"{root}: {neighbour}" if neighbour else describe_nothing(root, found, _EXPECTED))
    _check_classes(root, settings, files)
    _check_groups(root, settings.group_by, "dataset.group_by", files)
    return _make_listing(root, found, layout, files, settings.skip_folders)


def find_source(settings: FolderSource) -> Path:
    """The folder of a source; SourceError if it is missing, or no folder."""
    return find_root(settings.path, f"{_EXPECTED}; set dataset.path to it.")


def find_addition(addition: Addition) -> Path:
    """The folder of an addition; SourceError if it is missing, or no folder."""
    return find_root(
        addition.path, f"{_EXPECTED_ADDITION}; correct the path of the addition {addition.name!r}."
    )


def list_addition(addition: Addition, base_classes: Collection[str]) -> FolderListing:
    """Find the images of a folder that joins a source, without reading them; one class is enough.

    Raises:
        SourceError: the folder is missing, empty, no folder; it has trees of splits; classes differ only in
            case, or have names that cannot be shown; `unknown_classes` or `group_by` match nothing.
    """
    setting = f"the addition {addition.name!r}"
    root = find_addition(addition)
    found = find_images(root, _rules(addition))
    hints = Hints((*addition.unknown_classes, *base_classes), may_be_one_class=True)
    layout = _find_layout(root, found.images, addition, hints, f"{setting} layout: ")
    _refuse_trees(root, layout)
    files = _classify(addition, layout, found)
    if not files:
        raise SourceError(describe_nothing(root, found, _EXPECTED_ADDITION))
    classes = sorted({file.class_name for file in files})
    check_class_names(root, files)
    check_spelling(root, {*classes, *base_classes}, _places(files))
    check_unknown_classes(root, addition.unknown_classes, f"unknown_classes of {setting}", classes)
    _check_groups(root, addition.group_by, f"group_by of {setting}", files)
    return _make_listing(root, found, layout, files, addition.skip_folders)


def _rules(settings: FolderSource | Addition) -> Rules:
    return Rules(settings.skip_folders, settings.follow_links)


def _make_listing(
    root: Path, found: Found, layout: Layout, files: Sequence[SourceFile], skipped: Collection[str]
) -> FolderListing:
    """What a folder offers; SourceError if a class folder has no image."""
    depth = max(layout.levels(Role.CLASS))
    classes = {
        folder: layout.class_of(tuple(folder.split("/")))
        for folder in found.folders
        if folder.count("/") == depth
    }
    refuse_lost_classes(root, found, classes, {file.class_name for file in files}, skipped)
    left_out = [
        item.model_copy(update={"class_name": layout.class_of(tuple(item.path.split("/")[:-1])) or ""})
        for item in sort_left_out(found.quarantined)
    ]
    return FolderListing(files=tuple(files), quarantined=tuple(left_out), remarks=found.remarks())


def digest_listing(path: Path, listing: FolderListing) -> str:
    """SHA-256 over the paths and bytes of a listing of the folder `path`, and over what it leaves out."""
    root = str(path.expanduser())
    digest = hashlib.sha256()
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        paths = [f"{root}/{file.path}" for file in listing.files]
        contents = pool.map(_digest_files, [paths[i : i + 256] for i in range(0, len(paths), 256)])
        for file, content in zip(listing.files, (each for some in contents for each in some), strict=True):
            digest.update(f"{file.path}\0{content}\n".encode("utf-8", "surrogateescape"))
    for item in listing.quarantined:
        digest.update(f"{item.path}\0{item.reason}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _digest_files(paths: Sequence[str]) -> list[str]:
    return [_digest_content(path) for path in paths]


def _digest_content(path: str) -> str:
    """SHA-256 of a file; the name of the fault where it cannot be read (it is quarantined later)."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123  ten thousand files: Path costs a third
            if os.fstat(file.fileno()).st_size <= _READ_AT_ONCE_BYTES:
                return hashlib.sha256(file.readall()).hexdigest()
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"


# --- classes and groups ---------------------------------------------------------------------------------


def _find_layout(
    root: Path, images: Sequence[str], settings: FolderSource | Addition, hints: Hints, typed: str = TYPE
) -> Layout:
    pattern = _pattern(settings)
    try:
        layout = find_layout(images, settings.layout, replace(hints, group_by=pattern))
    except AmbiguousLayoutError as error:
        raise SourceError(f"{root}: {error}".replace(TYPE, typed)) from error
    except LayoutError as error:
        words = describe_neighbour(root, images) or str(error).replace(TYPE, typed)
        raise SourceError(f"{root}: {words}") from error
    if settings.layout == "auto" and Role.PLACE in layout.roles:
        logger.info("%s: the folders are read as %s (dataset.layout)", root, layout)
    return layout


def _classify(settings: FolderSource | Addition, layout: Layout, found: Found) -> list[SourceFile]:
    """Class, tree and group of every image by its place; images without a class are quarantined."""
    pattern = _pattern(settings)
    if pattern is not None:  # said beforehand: a match that hangs lets nothing else run
        where = "paths" if "/" in pattern.pattern else "file names"
        logger.info("looking for groups in %d %s by %s", len(found.images), where, pattern.pattern)
    files = []
    unlabelled: Counter[str] = Counter()
    place_of = cache(layout.place_of)
    held_out = {comparison_key(name) for name in settings.unknown_classes}
    for path in sorted(found.images):
        place = place_of(path.rpartition("/")[0])
        if place.class_name is None:
            if place.unlabelled is None:
                reason = "lies outside the class folders, so that it has no class: make a folder a class"
                found.quarantined.append(Quarantined(path=path, reason=reason))
            else:
                unlabelled[place.unlabelled] += 1
            continue
        group = place.group if pattern is None else _match_group(pattern, path)
        key = comparison_key(group) if group else None
        is_unknown = comparison_key(place.class_name) in held_out
        files.append(SourceFile(path, place.class_name, key, place.split, is_unknown))
    for folder, count in unlabelled.items():
        reason = f"holds {count_of(count, 'image')} and no class folders, so that they have no class"
        found.quarantined.append(Quarantined(path=f"{folder}/", reason=reason))
    return _group_by_names(files) if settings.group_by == AUTO_GROUPS else files


def group_files(root: Path, group_by: str | None, files: Sequence[SourceFile]) -> list[SourceFile]:
    """The files with the groups that a pattern finds in their paths, or that their names tell (`auto`).

    Raises:
        SourceError: the pattern matches none of them.
    """
    if group_by == AUTO_GROUPS:
        return _group_by_names(list(files))
    if group_by is None:
        return list(files)
    groups = [_match_group(re.compile(group_by), file.path) for file in files]
    grouped = [
        replace(file, group=comparison_key(group) if group else None)
        for file, group in zip(files, groups, strict=True)
    ]
    _check_groups(root, group_by, "dataset.group_by", grouped)
    return grouped


def _pattern(settings: FolderSource | Addition) -> re.Pattern[str] | None:
    return None if settings.group_by in (None, AUTO_GROUPS) else re.compile(str(settings.group_by))


def _group_by_names(files: list[SourceFile]) -> list[SourceFile]:
    """The files with the groups that their names tell; as they are where folders say what a group is."""
    suggested = suggest_groups(files)
    if suggested.pattern is None or any(file.group is not None for file in files):
        return files
    return [
        replace(file, group=comparison_key(group) if group else None)
        for file, group in zip(files, suggested.groups, strict=True)
    ]


def _match_group(pattern: re.Pattern[str], path: str) -> str | None:
    """The group that a pattern finds: in the whole path if it holds a slash, else in the file name."""
    text = normalise(path)
    match = pattern.search(text if "/" in pattern.pattern else text.rpartition("/")[2])
    return match["group"] if match else None


def _refuse_trees(root: Path, layout: Layout) -> None:
    """An addition is dealt to the splits group by group; trees of its own would be taken for classes."""
    if Role.SPLIT in layout.roles:
        names = sorted({*layout.splits, *layout.unlabelled})
        raise SourceError(
            f"{root}: has {list_folders(names)}, which name splits. {_EXPECTED_ADDITION}: added images are "
            "dealt to the splits anew. Put the class folders side by side."
        )


def _check_groups(root: Path, group_by: str | None, setting: str, files: Sequence[SourceFile]) -> None:
    if group_by not in (None, AUTO_GROUPS) and all(file.group is None for file in files):
        group_by = str(group_by)
        whole = "/" in group_by
        first = files[0].path if whole else PurePosixPath(files[0].path).name
        where = "paths" if whole else "file names"
        raise SourceError(
            f"{root}: {setting} {group_by!r} matches none of {len(files)} {where} (first: {first}). Expected "
            "a pattern that finds the group in them: with a slash in it in the path from here, else in the "
            "file name."
        )


def _check_classes(root: Path, settings: FolderSource, files: Sequence[SourceFile]) -> None:
    classes = sorted({file.class_name for file in files})
    check_class_names(root, files)
    check_spelling(root, classes, _places(files))
    check_unknown_classes(root, settings.unknown_classes, "dataset.unknown_classes", classes)
    trained = {file.class_name for file in files if file.tree in (None, Split.TRAIN)}
    for file in files:
        if file.class_name not in trained and not file.is_unknown:
            near = find_near(file.class_name, trained)
            hint = f"; did you mean {near}?" if near else "."
            raise SourceError(
                f"{root}: class {file.class_name!r} has images to test but none to train on "
                f"(first: {file.path}){hint} "
                "Expected it in the training tree, or among dataset.unknown_classes."
            )
    known = {file.class_name for file in files if not file.is_unknown}
    if len(known) < 2:
        neighbour = describe_neighbour(root, [file.path for file in files])
        if neighbour is not None:
            raise SourceError(f"{root}: {neighbour}")
        num_held_out = len(settings.unknown_classes)
        held_out = f" ({num_held_out} held out as unknown)" if num_held_out else ""
        only = "no known class" if not known else f"one class only, {next(iter(known))!r}"
        raise SourceError(f"{root}: has {only}{held_out}. Expected at least two known classes: {_WANTED}.")


def _places(files: Iterable[SourceFile]) -> dict[str, str]:
    """Class -> the folders of its first image."""
    places: dict[str, str] = {}
    for file in files:
        places.setdefault(file.class_name, repr(PurePosixPath(file.path).parent.as_posix()))
    return places

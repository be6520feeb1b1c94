"""A folder of images: `train/`, `val/` and `test/` trees of class folders, or one folder per class.

The file's place gives its class, the file's content its format. Hidden files are skipped. Files that look
like images and cannot be used are quarantined with the reason, so that nothing disappears in silence.
"""

from __future__ import annotations

import difflib
import hashlib
import logging
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vision.base.errors import SourceError
from vision.config.data import Addition, FolderSource
from vision.data.manifest import SourceFile
from vision.data.records import POOLED, Quarantined, Split
from vision.data.sources.finding import Found, describe_nothing, find_images, find_root, sort_left_out

TREE_NAMES = {
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "val": Split.VALIDATION,
    "valid": Split.VALIDATION,
    "validation": Split.VALIDATION,
    "test": Split.TEST,
    "testing": Split.TEST,
}
"""Names (in lower case) of the user's trees, when there is one for training."""

_EXPECTED_ADDITION = "Expected one folder per class"
_EXPECTED = f"{_EXPECTED_ADDITION}, or the trees train/, val/ and test/ with one folder per class"
_READ_AT_ONCE_BYTES = 2**24

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FolderListing:
    """What a folder offers: image files with class and group, and what is left out; sorted by path."""

    files: tuple[SourceFile, ...]
    quarantined: tuple[Quarantined, ...]


def list_folder(settings: FolderSource) -> FolderListing:
    """Find the images of a folder without reading them.

    Raises:
        SourceError: the folder is missing, empty, no folder; it mixes trees and classes; it has fewer than
            two known classes; classes differ only in case, or have names that cannot be shown;
            `unknown_classes` or `group_by` match nothing.
    """
    root = find_source(settings)
    found = find_images(root)
    trees = _find_trees(root, found.images)
    files = _classify(settings, trees, found)
    if not files:
        raise SourceError(describe_nothing(root, found, _EXPECTED))
    _check_classes(root, settings, files)
    _check_groups(root, settings.group_by, "dataset.group_by", files)
    return FolderListing(files=tuple(files), quarantined=sort_left_out(found.quarantined))


def find_source(settings: FolderSource) -> Path:
    """The folder of a source.

    Raises:
        SourceError: it is missing, or no folder.
    """
    return find_root(settings.path, f"{_EXPECTED}; set dataset.path to it.")


def find_addition(addition: Addition) -> Path:
    """The folder of an addition.

    Raises:
        SourceError: it is missing, or no folder.
    """
    return find_root(
        addition.path, f"{_EXPECTED_ADDITION}; correct the path of the addition {addition.name!r}."
    )


def list_addition(addition: Addition, base_classes: Collection[str]) -> FolderListing:
    """Find the images of a folder that joins a source, without reading them; one class is enough.

    Args:
        addition: the folder; paths are relative to it, groups are as its file names have them.
        base_classes: of the source that it joins.

    Raises:
        SourceError: the folder is missing, empty, no folder; it has trees of splits; classes differ only in
            case, or have names that cannot be shown; `unknown_classes` or `group_by` match nothing.
    """
    setting = f"the addition {addition.name!r}"
    root = find_addition(addition)
    found = find_images(root)
    _refuse_trees(root, found.images, base_classes)
    files = _classify(addition, {}, found)
    if not files:
        raise SourceError(describe_nothing(root, found, _EXPECTED_ADDITION))
    classes = sorted({file.class_name for file in files})
    _check_names(root, files)
    check_case(root, {*classes, *base_classes})
    _check_unknown_classes(root, addition.unknown_classes, f"unknown_classes of {setting}", classes)
    _check_groups(root, addition.group_by, f"group_by of {setting}", files)
    return FolderListing(files=tuple(files), quarantined=sort_left_out(found.quarantined))


def digest_folder(settings: FolderSource, listing: FolderListing | None = None) -> str:
    """SHA-256 over the paths and bytes of the images, and over what is left out.

    Raises:
        SourceError: as `list_folder`.
    """
    return digest_listing(settings.path, list_folder(settings) if listing is None else listing)


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


def _classify(
    settings: FolderSource | Addition, trees: Mapping[str, Split], found: Found
) -> list[SourceFile]:
    """Class, tree and group of every image by its place; images without a class are quarantined."""
    pattern = None if settings.group_by is None else re.compile(settings.group_by)
    unknown = set(settings.unknown_classes)
    if pattern is not None:  # said beforehand: a match that hangs lets nothing else run
        logger.info("looking for groups in %d file names by %r", len(found.images), pattern.pattern)
    files = []
    for path in sorted(found.images):
        *folders, name = path.split("/")
        tree = trees[folders.pop(0)] if trees and folders else None
        if not folders:
            reason = "lies outside the class folders, so that it has no class"
            found.quarantined.append(Quarantined(path=path, reason=reason))
            continue
        match = None if pattern is None else pattern.search(name)
        group = match["group"] if match else None
        files.append(SourceFile(path, folders[0], group, tree, folders[0] in unknown))
    return files


def _find_trees(root: Path, images: Iterable[str]) -> dict[str, Split]:
    """Folder name -> split for the user's trees; empty where the folders are classes."""
    top = sorted({path.split("/")[0] for path in images if "/" in path})
    trees = {name: TREE_NAMES[name.lower()] for name in top if name.lower() in TREE_NAMES}
    if not trees or (Split.TRAIN not in trees.values() and len(trees) < len(top)):
        return {}
    if Split.TRAIN not in trees.values():
        raise SourceError(f"{root}: has {_listed(trees)} but no train/ with images. {_EXPECTED}.")
    strangers = [name for name in top if name not in trees]
    if strangers:
        raise SourceError(
            f"{root}: has the trees {_listed(trees)} and beside them {_listed(strangers)} with images. "
            f"{_EXPECTED}, not both. Move {_listed(strangers)} away or into a tree."
        )
    for split, count in Counter(trees.values()).items():
        if count > 1:
            same = [name for name, own in trees.items() if own is split]
            raise SourceError(f"{root}: {_listed(same)} are two trees for {split}. Keep one of them.")
    return trees


def _refuse_trees(root: Path, images: Iterable[str], base_classes: Collection[str]) -> None:
    """An addition is dealt to the splits group by group; trees of its own would be taken for classes."""
    top = {path.split("/")[0] for path in images if "/" in path}
    trees = sorted(name for name in top if name.lower() in TREE_NAMES and name not in base_classes)
    if trees:
        raise SourceError(
            f"{root}: has {_listed(trees)}, which names a split. {_EXPECTED_ADDITION}: added images are "
            "dealt to the splits anew. Put the class folders side by side."
        )


def _check_unknown_classes(root: Path, named: Iterable[str], setting: str, classes: Sequence[str]) -> None:
    for name in named:
        if name not in classes:
            raise SourceError(
                f"{root}: {setting} names {name!r}, which is no class folder"
                f"{_near(name, classes)} Expected some of: {', '.join(classes)}."
            )


def _check_groups(root: Path, group_by: str | None, setting: str, files: Sequence[SourceFile]) -> None:
    if group_by is not None and all(file.group is None for file in files):
        raise SourceError(
            f"{root}: {setting} {group_by!r} matches none of {len(files)} file names "
            f"(first: {PurePosixPath(files[0].path).name}). Expected a pattern that finds the group in them."
        )


def _check_classes(root: Path, settings: FolderSource, files: Sequence[SourceFile]) -> None:
    classes = sorted({file.class_name for file in files})
    _check_names(root, files)
    check_case(root, classes)
    _check_unknown_classes(root, settings.unknown_classes, "dataset.unknown_classes", classes)
    trained = {file.class_name for file in files if file.tree in (None, Split.TRAIN)}
    for file in files:
        if file.class_name not in trained and not file.is_unknown:
            raise SourceError(
                f"{root}: class {file.class_name!r} has images to test but none to train on "
                f"(first: {file.path}){_near(file.class_name, trained)} "
                "Expected it in the training tree, or among dataset.unknown_classes."
            )
    known = {file.class_name for file in files if not file.is_unknown}
    if len(known) < 2:
        num_held_out = len(settings.unknown_classes)
        held_out = f" ({num_held_out} held out as unknown)" if num_held_out else ""
        only = "no known class" if not known else f"one class only, {next(iter(known))!r}"
        raise SourceError(f"{root}: has {only}{held_out}. Expected at least two known classes. {_EXPECTED}.")


def _check_names(root: Path, files: Iterable[SourceFile]) -> None:
    """Refuse classes that tables and pictures cannot show as they are, or would take for something else."""
    for name, is_unknown in sorted({(file.class_name, file.is_unknown) for file in files}):
        if not name.isprintable() or not name.strip():
            raise SourceError(
                f"{root}: the class folder {name!a} has a name that is blank or holds characters that do not "
                "show. Expected letters, digits, signs and spaces. Rename it."
            )
        if is_unknown and name == POOLED:
            raise SourceError(
                f"{root}: the class {name!r} is held out as unknown, and {name!r} is what reports call all "
                "held-out classes together. Expected another name. Rename the folder."
            )


def check_case(root: Path, classes: Iterable[str]) -> None:
    """Refuse names that only some file systems tell apart: they are one class or two by accident.

    Raises:
        SourceError: names both.
    """
    seen: dict[str, str] = {}
    for name in sorted(classes):
        plain = unicodedata.normalize("NFC", name).casefold()
        if plain in seen:
            raise SourceError(
                f"{root}: the class folders {seen[plain]!r} and {name!r} differ only in case or in the form "
                "of their letters. Expected one spelling. Rename one of them."
            )
        seen[plain] = name


def _near(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else "."


def _listed(names: Iterable[str]) -> str:
    return " and ".join(f"{name}/" for name in names)

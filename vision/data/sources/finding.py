"""Every file below a folder: taken as an image, left out with the reason, or counted by kind.

What a file is, its first bytes say. Only files that end in .jpg, .jpeg or .png are taken unseen; what they
are is told when they are read.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from vision.base.errors import SourceError
from vision.base.names import find_near, normalise
from vision.base.wording import count_of
from vision.config.reading.yaml_text import write_inline
from vision.data.decoding.formats import (
    CAMERA_RAW,
    HEAD_BYTES,
    READ_FORMATS,
    find_format,
    find_unread,
    has_image_ending,
    refuse_format,
)
from vision.data.records import FileRemark, Quarantined

_TAKEN_UNSEEN = frozenset({".jpg", ".jpeg", ".png"})
_RAW_ENDINGS = frozenset(
    (
        *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos"),
        *(".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"),
    )
)
_TABLE = "; a table of labels is read by dataset: {source: csv, path: ...} (docs/sources.md#csv)"
_ARCHIVES = frozenset({".zip", ".tar", ".tgz", ".gz", ".7z", ".rar", ".xz", ".bz2"})
_MAX_DEPTH = 50

# Folders in which systems and viewers keep copies of pictures: hidden ones, a NAS's @eaDir, @tmp and
# #recycle, Windows' $RECYCLE.BIN, __MACOSX, and thumbnails under any of their names. A class may be called
# $1, #1 or thumb, so that marks alone do not do, and `thumb` counts below a class folder only.
_SYSTEM_FOLDER = re.compile(
    r"\.|@\w|__[A-Z]+$|#(recycle|snapshot|trash)|\$RECYCLE|lost\+found$|system volume information$"
    r"|(.*[ ._-])?thumbnails?([ ._-].*)?$",
    re.IGNORECASE,
)
_THUMBS = re.compile(r"(.*[ ._-])?thumbs?$", re.IGNORECASE)


@dataclass(frozen=True)
class Rules:
    """What is looked at below a folder; `skipped` are names of folders, or paths below the root."""

    skipped: Collection[str] = ()
    follows_links: bool = False


@dataclass
class Found:
    """What lies below a root.

    Attributes:
        images: paths (POSIX, relative) of what is taken as an image.
        quarantined: files and folders that are left out.
        others: folder (POSIX, relative, "" is the root) -> files of other kinds by their endings.
        folders: every folder that was looked into, and every link to one.
        first_other: path of the first file of another kind.
        set_aside: hidden files, and folders that are hidden, skipped on request, or of a system or viewer ->
            files in it.
    """

    images: list[str] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    others: dict[str, Counter[str]] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    set_aside: dict[str, int] = field(default_factory=dict)
    first_other: str = ""

    def leave_out(self, path: str, reason: str) -> None:
        """Quarantine a file or folder."""
        self.quarantined.append(Quarantined(path=_shown(path), reason=reason))

    def count_other(self, path: str, kind: str) -> None:
        """Count a file that is no image."""
        folder = path.rpartition("/")[0]
        self.first_other = min(self.first_other or path, path)
        self.others.setdefault(folder, Counter())[kind] += 1

    def others_below(self, folder: str = "") -> Counter[str]:
        """Files of other kinds in a folder and below it, by their endings."""
        below = f"{folder}/"
        counts = [some for name, some in self.others.items() if not folder or f"{name}/".startswith(below)]
        return sum(counts, Counter())

    def remarks(self) -> tuple[FileRemark, ...]:
        """What a person should know of the files that are neither used nor left out one by one."""
        found = []
        others = self.others_below()
        if others:
            what = f"other files beside the pictures ({list_counts(others)})"
            found.append(FileRemark(what=what, count=others.total(), first=_shown(self.first_other)))
        if self.set_aside:
            first = min(self.set_aside)
            what = "files passed over, because they or their folders are hidden, skipped or made by a viewer"
            found.append(FileRemark(what=what, count=sum(self.set_aside.values()), first=_shown(first)))
        return tuple(found)


def find_root(path: Path, expected: str) -> Path:
    """The folder `path`, home expanded.

    Raises:
        SourceError: it is missing, or no folder; it ends with what was expected.
    """
    try:
        root = path.expanduser()
        if root.is_dir():
            return root
        if root.exists():
            table = _TABLE if root.suffix.lower() in (".csv", ".tsv") else ""
            raise SourceError(f"{root}: is a file{table}. {expected}")
        siblings = [entry.name for entry in root.parent.iterdir()] if root.parent.is_dir() else []
    except (OSError, RuntimeError) as error:  # RuntimeError: the home of a user that there is not
        fault = error.strerror if isinstance(error, OSError) else error
        raise SourceError(f"{path}: cannot be opened: {fault}. {expected}") from error
    looked = "" if root.is_absolute() else f" (looked for {root.absolute()})"
    hint = _describe_missing(root, siblings)
    raise SourceError(f"{root}: there is no such folder{looked}. {expected}{hint}")


def _describe_missing(root: Path, siblings: Iterable[str]) -> str:
    """What was probably meant by a path that leads nowhere."""
    text = str(root)
    if not text.isprintable():
        return (
            " The path holds a control character: in double quotes YAML reads \\t and \\n as such. Write the "
            "path in single quotes, or with slashes."
        )
    if PureWindowsPath(text).drive and not PurePath(text).drive:
        return " That is a path of Windows; here folders are parted by / (under WSL, C:\\ is /mnt/c/)."
    if "$" in text:
        return " Variables are not filled in. Write the folder itself, or ~ for the home folder."
    near = find_near(root.name, siblings, cutoff=0.6)
    if near is None:
        return ""
    form = ", whose letters are stored in another form" if normalise(near) == normalise(root.name) else ""
    return f" Did you mean {root.parent / near}{form}?"


def find_images(root: Path, rules: Rules = Rules()) -> Found:
    """What lies below `root`; SourceError if a folder cannot be listed, or lies too deep."""
    found = Found()
    _Walk(root, root.resolve(), rules, found).scan("", frozenset({root.resolve()}))
    return found


def find_pictures(folder: Path, expected: str) -> tuple[Path, list[str]]:
    """A folder with home expanded, and the sorted paths of the images below it.

    Raises:
        SourceError: it is missing, no folder, or without an image.
    """
    root = find_root(folder, f"{expected}.")
    found = find_images(root)
    if not found.images:
        raise SourceError(describe_nothing(root, found, expected))
    return root, sorted(found.images)


def describe_nothing(root: Path, found: Found, expected: str) -> str:
    """What a folder without usable images holds, and what was expected."""
    contents = describe_contents(found)
    holds = f"holds no usable image, but {contents}" if contents else "is empty"
    unpack = " Unpack the archives there." if _ARCHIVES & found.others_below().keys() else ""
    return f"{root}: {holds}. {expected}, of {READ_FORMATS} images.{unpack}"


def describe_contents(found: Found, folder: str = "") -> str:
    """Files of other kinds and what is left out in a folder and below it; empty where there is nothing."""
    seen = [list_counts(found.others_below(folder))]
    left_out = [
        item
        for item in sort_left_out(found.quarantined)
        if not folder or item.path == folder or item.path.startswith(f"{folder}/")
    ]
    if left_out and left_out[0].path.rstrip("/") == folder:
        seen.append(left_out[0].reason)
    elif left_out:
        seen.append(f"{len(left_out)} left out (first: {left_out[0].path}: {left_out[0].reason})")
    return ", ".join(filter(None, seen))


def list_counts(counts: Counter[str], most: int = 6) -> str:
    """Counts by kind, the most frequent first, as "12 .xml, 3 .txt"."""
    listed = [f"{count} {kind}" for kind, count in counts.most_common(most)]
    more = len(counts) - most
    return ", ".join([*listed, *([f"{more} more kinds"] if more > 0 else [])])


def refuse_lost_classes(
    root: Path,
    found: Found,
    folders: Mapping[str, str | None],
    classes: Collection[str],
    skipped: Collection[str],
) -> None:
    """Refuse class folders of which not one image can be used: a class would vanish.

    `folders` are those at the level of classes, by path; None where one is no class. `classes` have images;
    `skipped` is what is left out already.

    Raises:
        SourceError: names every such folder with what it holds.
    """
    lost = sorted(folder for folder, name in folders.items() if name is not None and name not in classes)
    if lost:
        raise SourceError(
            f"{root}: {count_of(len(lost), 'class folder')} without one usable image: "
            + "; ".join(f"{_shown(each)}/ ({describe_contents(found, each) or 'empty'})" for each in lost[:8])
            + ". Expected pictures in every class folder. Repair or convert them, or leave the folder out on "
            f"purpose: dataset.skip_folders: {write_inline([*skipped, *map(_shown, lost)])}"
        )


def sort_left_out(quarantined: Iterable[Quarantined]) -> tuple[Quarantined, ...]:
    """By path."""
    return tuple(sorted(quarantined, key=lambda item: item.path))


def is_set_aside(folder: str, *, below_class: bool) -> bool:
    """Whether a folder of this name is hidden, or one in which systems or viewers keep copies of pictures."""
    return bool(_SYSTEM_FOLDER.match(folder) or (below_class and _THUMBS.match(folder)))


def _count_files(folder: Path) -> int:
    """Files below a folder that is not looked into; one that cannot be listed counts as one."""
    closed: list[OSError] = []
    return sum(len(names) for _, _, names in os.walk(folder, onerror=closed.append)) + len(closed)


@dataclass
class _Walk:
    """One search below a root."""

    root: Path
    resolved_root: Path
    rules: Rules
    found: Found

    def scan(self, folder: str, above: frozenset[Path]) -> None:
        """Collect what lies below `folder` (POSIX, relative to the root, with a closing slash or empty)."""
        if folder.count("/") > _MAX_DEPTH:
            raise SourceError(
                f"{self.root / folder}: lies {folder.count('/')} folders deep; expected at most {_MAX_DEPTH} "
                f"below {self.root}. Move the images up, or this folder away."
            )
        is_empty = True
        for entry in self._list(folder):
            is_empty = False
            path = f"{folder}{entry.name}"
            is_folder = entry.is_dir(follow_symlinks=False)
            if entry.name.startswith(".") and not is_folder:
                self.found.set_aside[path] = 1
            elif entry.is_symlink():
                self._take_link(path, above)
            elif is_folder:
                self._take_folder(path, above)
            else:
                self._take_file(path, entry.is_file(follow_symlinks=False))
        if folder and is_empty:
            self.found.leave_out(folder, "an empty folder; put images into it, or remove it")

    def _list(self, folder: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / folder) as entries:
                yield from entries
        except OSError as error:
            raise SourceError(
                f"{self.root / folder}: cannot be listed: {error.strerror}. Make the folder readable."
            ) from error

    def _take_folder(self, path: str, above: frozenset[Path]) -> None:
        name = path.rpartition("/")[2]
        is_skipped = name in self.rules.skipped or path in self.rules.skipped
        if is_skipped or is_set_aside(name, below_class="/" in path):
            self.found.set_aside[path] = _count_files(self.root / path)
            return
        self.found.folders.add(path)
        self.scan(f"{path}/", above)

    def _take_file(self, path: str, is_regular: bool) -> None:
        suffix = PurePosixPath(path).suffix.lower()
        if suffix not in _TAKEN_UNSEEN and not self._looks_like_an_image(path, suffix, is_regular):
            return
        if not is_regular:
            self.found.leave_out(path, "not a regular file")
        elif _shown(path) != path:
            self.found.leave_out(path, "the file name is not valid UTF-8")
        else:
            self.found.images.append(path)

    def _looks_like_an_image(self, path: str, suffix: str, is_regular: bool) -> bool:
        """Whether a file is to be read as an image; if not, it is left out or counted here."""
        has_image_name = has_image_ending(path)
        if not is_regular:
            if not has_image_name:
                self.found.count_other(path, "no regular file")
            return has_image_name
        try:
            with (self.root / path).open("rb") as file:
                head = file.read(HEAD_BYTES)
        except OSError as error:
            self.found.leave_out(path, f"cannot be read: {error.strerror or error}")
            return False
        unread = find_unread(head)
        if suffix in _RAW_ENDINGS and unread is None and find_format(head) is not None:
            unread = CAMERA_RAW  # its first bytes are a TIFF's
        if unread is not None and unread.is_image:
            self.found.leave_out(path, f"{unread.name}; {unread.advice}")
            return False
        if suffix in _RAW_ENDINGS:
            self.found.leave_out(path, str(refuse_format(head)))
            return False
        if find_format(head) is not None or has_image_name:
            return True  # what is wrong with it is told when it is read
        self.found.count_other(path, _shown(suffix) or "without an ending")
        return False

    def _take_link(self, path: str, above: frozenset[Path]) -> None:
        """A link is followed to a file inside the root; to other places on request only."""
        link = self.root / path
        try:
            is_folder, is_file, target = link.is_dir(), link.is_file(), link.resolve()
        except (OSError, RuntimeError) as error:  # RuntimeError: a circle of links
            fault = error.strerror if isinstance(error, OSError) else "it leads to itself"
            self.found.leave_out(path, f"a link that cannot be followed: {fault}")
            return
        if is_folder:
            self._take_linked_folder(path, target, above)
        elif not is_file:
            self.found.leave_out(path, "a link to nothing")
        elif not self.rules.follows_links and not target.is_relative_to(self.resolved_root):
            self.found.leave_out(
                path, "a link that leads out of the folder; set dataset.follow_links: true to follow it"
            )
        else:
            self._take_file(path, is_regular=True)

    def _take_linked_folder(self, path: str, target: Path, above: frozenset[Path]) -> None:
        is_circle = target in above or (self.root / path).parent.resolve().is_relative_to(target)
        if self.rules.follows_links and not is_circle:
            self._take_folder(path, above | {target})
        elif self.rules.follows_links:
            self.found.leave_out(path, "a link to a folder that it lies in")
        else:
            self.found.folders.add(path)
            self.found.leave_out(path, "a link to a folder; set dataset.follow_links: true to follow it")


def _shown(path: str) -> str:
    """The path as text that can be written anywhere, undecodable bytes replaced."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

"""Image files below a folder, told by their endings, and what is left out with the reason."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from vision.base.errors import SourceError
from vision.base.names import find_near, normalise
from vision.data.images import IMAGE_SUFFIXES
from vision.data.records import Quarantined

_OTHER_IMAGE_SUFFIXES = (".gif", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2")
_MAX_DEPTH = 50


@dataclass
class Found:
    """What lies below a root: image paths (POSIX, relative), files left out, other files by suffix."""

    images: list[str] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


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
            raise SourceError(f"{root}: is a file. {expected}")
        siblings = [entry.name for entry in root.parent.iterdir()] if root.parent.is_dir() else []
    except (OSError, RuntimeError) as error:  # RuntimeError: the home of a user that there is not
        fault = error.strerror if isinstance(error, OSError) else error
        raise SourceError(f"{path}: cannot be opened: {fault}. {expected}") from error
    looked = "" if root.is_absolute() else f" (looked for {root.absolute()})"
    hint = _describe_missing(root, siblings)
    raise SourceError(f"{root}: there is no such folder{looked}.{hint} {expected}")


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


def find_images(root: Path) -> Found:
    """What lies below `root`, hidden files apart.

    Raises:
        SourceError: a folder cannot be listed, or lies too deep.
    """
    found = Found()
    _scan(root, root.resolve(), "", found)
    return found


def describe_nothing(root: Path, found: Found, expected: str) -> str:
    """What a folder without usable images holds, and what was expected."""
    present: Iterator[str] = (f"{count} x {suffix}" for suffix, count in sorted(found.others.items()))
    seen = [*present]
    if found.quarantined:
        first = sort_left_out(found.quarantined)[0]
        seen.append(f"{len(found.quarantined)} left out (first: {first.path}: {first.reason})")
    contents = f"holds no usable image, but {', '.join(seen)}" if seen else "is empty"
    return f"{root}: {contents}. {expected}; images end in {', '.join(IMAGE_SUFFIXES)}."


def sort_left_out(quarantined: Iterable[Quarantined]) -> tuple[Quarantined, ...]:
    """By path."""
    return tuple(sorted(quarantined, key=lambda item: item.path))


def _scan(root: Path, resolved_root: Path, folder: str, found: Found) -> None:
    """Collect what lies below `folder` (POSIX, relative to the root, with a closing slash or empty)."""
    if folder.count("/") > _MAX_DEPTH:
        raise SourceError(
            f"{root / folder}: lies {folder.count('/')} folders deep; expected at most {_MAX_DEPTH} below "
            f"{root}. Move the images up, or this folder away."
        )
    try:
        entries = list(os.scandir(root / folder))
    except OSError as error:
        raise SourceError(
            f"{root / folder}: cannot be listed: {error.strerror}. Make the folder readable."
        ) from error
    if folder and not entries:
        reason = "an empty folder; put images into it, or remove it"
        found.quarantined.append(Quarantined(path=_shown(folder), reason=reason))
    for entry in entries:
        path = f"{folder}{entry.name}"
        if entry.name.startswith("."):
            continue
        if entry.is_symlink():
            _take_link(root / path, resolved_root, path, found)
        elif entry.is_dir(follow_symlinks=False):
            _scan(root, resolved_root, f"{path}/", found)
        else:
            _take_file(path, entry.is_file(follow_symlinks=False), found)


def _take_file(path: str, is_regular: bool, found: Found) -> None:
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in _OTHER_IMAGE_SUFFIXES:
        reason = f"{suffix} images are not read; save it as JPEG, PNG, WebP or BMP"
        found.quarantined.append(Quarantined(path=_shown(path), reason=reason))
    elif suffix not in IMAGE_SUFFIXES:
        found.others[suffix or "no ending"] += 1
    elif not is_regular:
        found.quarantined.append(Quarantined(path=_shown(path), reason="not a regular file"))
    elif _shown(path) != path:
        found.quarantined.append(Quarantined(path=_shown(path), reason="the file name is not valid UTF-8"))
    else:
        found.images.append(path)


def _take_link(link: Path, resolved_root: Path, path: str, found: Found) -> None:
    """A link is followed to a file inside the root only."""
    reason = None
    if link.is_dir():
        reason = "a link to a folder; put the folder itself in its place"
    elif PurePosixPath(path).suffix.lower() not in IMAGE_SUFFIXES:
        found.others["links"] += 1
        return
    elif not link.is_file():
        reason = "a link to nothing"
    elif not link.resolve().is_relative_to(resolved_root):
        reason = "a link that leads out of the folder; put the file itself in its place"
    if reason is None:
        _take_file(path, is_regular=True, found=found)
    else:
        found.quarantined.append(Quarantined(path=_shown(path), reason=reason))


def _shown(path: str) -> str:
    """The path as text that can be written anywhere, undecodable bytes replaced."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

"""A ZIP archive as items: each picture is unpacked into memory when it is asked for, never to the disk.

What an archive can do to a reader is bounded: by members, by the bytes of each and of all, and by names,
which are only shown.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from vision.base.errors import SourceError
from vision.data.decoding.formats import HEAD_BYTES, find_format, has_image_ending
from vision.data.sources.finding import is_set_aside
from vision.prediction.items import HIDDEN, MAX_BYTES, Item
from vision.prediction.members import ARCHIVE_FAULTS, make_member_item, open_zip

MAX_MEMBERS = 1_000_000
MAX_RATIO = 200
"""Bytes that an archive may unpack to, a byte of its own; pictures hardly shrink, blank BMPs by 100."""

_FREE_BYTES = 1_000_000_000  # an archive that unpacks to less is none that could do harm


@contextmanager
def list_archive(path: Path) -> Iterator[tuple[list[Item], Counter[str]]]:
    """Its pictures, and the other files by ending; it stays open for the block.

    Raises:
        SourceError: it is no ZIP file, has too many members, or unpacks to far more than it holds.
    """
    try:
        archive = open_zip(path)
    except ARCHIVE_FAULTS as error:
        raise SourceError(
            f"{path}: cannot be read as a ZIP file: {error}. Pack the pictures again."
        ) from error
    with archive:
        members = [each for each in archive.infolist() if not each.is_dir()]
        _check_bounds(path, members)
        others: Counter[str] = Counter()
        items = []
        for member in members:
            if _is_hidden(member):
                others[HIDDEN] += 1
            elif not (has_image_ending(member.filename) or _begins_as_a_picture(archive, member)):
                others[PurePosixPath(member.filename).suffix.lower() or "no ending"] += 1
            else:
                items.append(make_member_item(archive, member, MAX_BYTES))
        yield sorted(items, key=lambda each: each.path), others


def _check_bounds(path: Path, members: list[zipfile.ZipInfo]) -> None:
    packed, unpacked = path.stat().st_size, sum(each.file_size for each in members)
    if len(members) > MAX_MEMBERS:
        raise SourceError(f"{path}: holds {len(members)} files; expected at most {MAX_MEMBERS}. Pack fewer.")
    if unpacked > max(_FREE_BYTES, MAX_RATIO * packed):
        raise SourceError(
            f"{path}: unpacks from {packed / 1e6:.1f} MB to {unpacked / 1e9:.1f} GB; expected at most "
            f"{MAX_RATIO} times as much. Pictures do not shrink so; unpack it yourself and name the folder."
        )


def _is_hidden(member: zipfile.ZipInfo) -> bool:
    """Whether a folder would set the file aside: hidden, or below a folder of the system or a viewer."""
    *folders, name = (part for part in PurePosixPath(member.filename).parts if part != "..")
    return name.startswith(".") or any(
        is_set_aside(folder, below_class=place > 0) for place, folder in enumerate(folders)
    )


def _begins_as_a_picture(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    try:
        with archive.open(member) as file:
            return find_format(file.read(HEAD_BYTES)) is not None
    except ARCHIVE_FAULTS:
        return False  # without a picture's ending and unreadable: counted among the others

"""One file that is asked about: its name in the answers, how its bytes are read, why they cannot be."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vision.base.errors import ImageError
from vision.data.decoding.cutting import cut_out
from vision.data.images import MAX_MEGAPIXELS
from vision.data.records import Box

MAX_BYTES = 256_000_000
"""Of one file; larger ones are not read into memory."""


HIDDEN = "hidden"
"""What files are counted as that are hidden, or lie in a folder of the system or a viewer."""


class Place(Protocol):
    """Where files lie; one serves many items, and can be sent to another process."""

    def read(self, key: str, /) -> bytes:
        """The bytes of a file; raises ImageError or OSError, or SourceError where its place is at fault."""

    def find_file(self, key: str, /) -> Path | None:
        """Where the file lies on the disk; None inside an archive or a bucket."""

    def find_folder(self, key: str, /) -> str:
        """The folder that a process must see to read the file; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Item:
    """One file that is asked about; a million of them are held at once, some 350 bytes each.

    Attributes:
        path: how it is named in the answers, unique but for files that are asked about twice.
        place: has its bytes.
        key: what its place calls it; empty: as `path`.
        stamp: changes when the file does; empty for a file that cannot be read.
        group: individual, camera or visit, where one is known.
        fault: why it cannot be read; empty where it may be.
        deployment, taken: as a table says where and when it was taken; empty where none does.
        box: left, top, width and height of the subject: pixels, or shares where none is above 1.
        margin: kept around the box, which is cut out; None: the picture is read whole.
    """

    path: str
    place: Place
    key: str = ""
    stamp: str = ""
    group: str | None = None
    fault: str = ""
    deployment: str = ""
    taken: str = ""
    box: Box | None = None
    margin: float | None = None

    @property
    def file(self) -> Path | None:
        """Where it lies on the disk; None inside an archive or a bucket."""
        return self.place.find_file(self.key or self.path)

    @property
    def folder(self) -> str:
        """The folder that a process must see to read it; empty where there is none."""
        return self.place.find_folder(self.key or self.path)

    def read(self) -> bytes:
        """Its bytes, or those of what its box holds; raises as `Place.read`."""
        if self.fault:
            raise ImageError(self.fault)
        raw = self.place.read(self.key or self.path)
        if self.box is None or self.margin is None:
            return raw
        return cut_out(raw, self.box, self.margin, MAX_MEGAPIXELS)


@dataclass(frozen=True, slots=True)
class Folder:
    """Files below a folder, by their paths from there; absolute paths are taken as they are."""

    root: Path

    def read(self, key: str) -> bytes:
        """The bytes of a file; raises OSError."""
        return self.find_file(key).read_bytes()

    def find_file(self, key: str) -> Path:
        """The file itself."""
        return self.root / key

    def find_folder(self, key: str) -> str:
        """Its own folder, or that of a file outside."""
        return os.path.dirname(key) if os.path.isabs(key) else str(self.root)  # noqa: PTH117, PTH120


@dataclass(frozen=True, slots=True)
class Made:
    """One file whose bytes a function gives, in this process alone."""

    make: Callable[[], bytes]

    def read(self, _key: str) -> bytes:
        """The bytes; raises as the function does."""
        return self.make()

    def find_file(self, _key: str) -> None:
        """It lies nowhere on the disk."""

    def find_folder(self, _key: str) -> str:
        """None."""
        return ""


def _read_nothing() -> bytes:
    raise ImageError("cannot be read")


NOWHERE = Made(_read_nothing)
"""The place of what cannot be read."""


def make_item(path: str, folder: Folder, key: str, group: str | None = None) -> Item:
    """An item of a file on the disk, `key` below `folder`; what is not there or not readable is its fault."""
    shown = show_name(path)
    try:
        state = os.stat(os.path.join(folder.root, key))  # noqa: PTH116, PTH118  a third of Path's time
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return Item(shown, NOWHERE, group=group, fault=f"cannot be opened: {reason}")
    if not stat.S_ISREG(state.st_mode):
        return Item(shown, NOWHERE, group=group, fault="is not a file")
    stamp = f"{state.st_size} {state.st_mtime_ns}"
    fault = describe_size(state.st_size) if state.st_size > MAX_BYTES else ""
    return Item(shown, folder, "" if key == shown else key, stamp, group, fault)


def describe_size(num_bytes: int, max_bytes: int = MAX_BYTES) -> str:
    """Why a file of so many bytes is not read."""
    return f"has {num_bytes / 1e6:.1f} MB; expected at most {max_bytes / 1e6:.1f} MB"


def make_faulty(path: str, fault: str, group: str | None = None) -> Item:
    """An item that cannot be read, with the reason."""
    return Item(show_name(path), NOWHERE, group=group, fault=fault)


def show_name(name: str) -> str:
    """The name as text that can be written anywhere; what cannot be shown is written as its code."""
    if name.isprintable():
        return name
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)

"""One file that is asked about: its name in the answers, how its bytes are read, why they cannot be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vision.base.errors import ImageError
from vision.data.records import Box

MAX_BYTES = 256_000_000
"""Of one file; larger ones are not read into memory."""


HIDDEN = "hidden"
"""What files are counted as that are hidden, or lie in a folder of the system or a viewer."""


@dataclass(frozen=True)
class Item:
    """One file that is asked about.

    Attributes:
        path: how it is named in the answers, unique but for files that are asked about twice.
        read: its bytes; raises ImageError or OSError.
        stamp: changes when the file does; empty for a file that cannot be read.
        group: individual, camera or visit, where one is known.
        file: where it lies on the disk; None inside an archive.
        fault: why it cannot be read; empty where it may be.
        deployment, taken: as a table says where and when it was taken; empty where none does.
        box: left, top, width and height of the subject: pixels, or shares where none is above 1.
    """

    path: str
    read: Callable[[], bytes]
    stamp: str = ""
    group: str | None = None
    file: Path | None = None
    fault: str = ""
    deployment: str = ""
    taken: str = ""
    box: Box | None = None


def make_item(path: str, file: Path, group: str | None = None) -> Item:
    """An item of a file on the disk; what is not there or not readable is its fault."""
    shown = show_name(path)
    try:
        state = file.stat()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return Item(shown, _read_nothing, group=group, fault=f"cannot be opened: {reason}")
    if not file.is_file():
        return Item(shown, _read_nothing, group=group, fault="is not a file")
    stamp = f"{state.st_size} {state.st_mtime_ns}"
    if state.st_size > MAX_BYTES:
        return Item(shown, _read_nothing, stamp, group, file, describe_size(state.st_size))
    return Item(shown, partial(_read_file, file), stamp, group, file)


def describe_size(num_bytes: int, max_bytes: int = MAX_BYTES) -> str:
    """Why a file of so many bytes is not read."""
    return f"has {num_bytes / 1e6:.1f} MB; expected at most {max_bytes / 1e6:.1f} MB"


def make_faulty(path: str, fault: str, group: str | None = None) -> Item:
    """An item that cannot be read, with the reason."""
    return Item(show_name(path), _read_nothing, group=group, fault=fault)


def show_name(name: str) -> str:
    """The name as text that can be written anywhere; what cannot be shown is written as its code."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _read_file(file: Path) -> bytes:
    return file.read_bytes()


def _read_nothing() -> bytes:
    raise ImageError("cannot be read")

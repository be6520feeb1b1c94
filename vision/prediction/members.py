"""The members of a ZIP archive as items: each is unpacked into memory when it is asked for."""

from __future__ import annotations

import stat
import zipfile
import zlib
from functools import partial
from pathlib import PurePosixPath

from vision.base.errors import ImageError
from vision.prediction.items import MAX_BYTES, Item, describe_size, make_faulty, show_name

ARCHIVE_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
"""What `zipfile` raises of archives that are damaged or of a kind that it does not read."""

_ENCRYPTED = 0x1


def make_member_item(archive: zipfile.ZipFile, member: zipfile.ZipInfo, max_bytes: int = MAX_BYTES) -> Item:
    """The item of a member; unsafe, encrypted and too large ones have a fault in the place of bytes."""
    fault = _find_fault(member, max_bytes)
    if fault:
        return make_faulty(member.filename, fault)
    stamp = f"{member.file_size} {member.CRC}"
    return Item(show_name(member.filename), partial(_unpack, archive, member, max_bytes), stamp)


def _find_fault(member: zipfile.ZipInfo, max_bytes: int) -> str:
    name = member.filename
    unsafe = name.startswith(("/", "\\")) or ".." in PurePosixPath(name.replace("\\", "/")).parts
    if unsafe or ":" in name[:2]:
        return "its name in the archive leads out of it; expected a relative one"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a link; pack the file itself"
    if member.flag_bits & _ENCRYPTED:
        return "is encrypted; pack it without a password"
    return describe_size(member.file_size, max_bytes) if member.file_size > max_bytes else ""


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, max_bytes: int) -> bytes:
    """The member's bytes: not more than the directory says, which is bounded."""
    try:
        with archive.open(member) as file:
            return file.read(max_bytes + 1)
    except ARCHIVE_FAULTS as error:
        raise ImageError(f"cannot be unpacked: {error}") from error

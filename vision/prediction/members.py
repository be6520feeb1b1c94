"""The members of a ZIP archive as items: each is unpacked into memory when it is asked for."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from vision.base.errors import ImageError, SourceError
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

_ENCRYPTED, _UTF_8 = 0x1, 0x800


def open_zip(file: Path | BinaryIO) -> zipfile.ZipFile:
    """An archive to read; its names are UTF-8 where they can be, also without the flag that says so.

    Raises:
        One of ARCHIVE_FAULTS: it is damaged, or no ZIP file.
    """
    archive = zipfile.ZipFile(file)
    for each in archive.infolist():
        if not each.flag_bits & _UTF_8 and not each.filename.isascii():
            with suppress(UnicodeError):
                each.filename = each.filename.encode("cp437").decode("utf-8")
    return archive


def make_member_item(archive: zipfile.ZipFile, member: zipfile.ZipInfo, max_bytes: int = MAX_BYTES) -> Item:
    """The item of a member; unsafe, encrypted and too large ones have a fault in the place of bytes."""
    fault = _find_fault(member, max_bytes)
    if fault:
        return make_faulty(member.filename, fault)
    stamp = f"{member.file_size} {member.CRC}"
    return Item(show_name(member.filename), Member(archive, member, max_bytes), stamp=stamp)


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an archive that is open; sent to another process it is a `SentMember`.

    Raises:
        TypeError: the archive is no file on the disk, and the member is sent to another process.
    """

    archive: zipfile.ZipFile
    member: zipfile.ZipInfo
    max_bytes: int

    def read(self, _key: str) -> bytes:
        """The member's bytes; raises ImageError."""
        return _unpack(self.archive, self.member, self.max_bytes)

    def find_file(self, _key: str) -> None:
        """It lies in the archive alone."""

    def find_folder(self, _key: str) -> str:
        """That of the archive; empty of one that is no file on the disk."""
        name = self.archive.filename
        return os.path.dirname(os.path.abspath(name)) if name else ""  # noqa: PTH100, PTH120

    def __reduce__(self) -> tuple[Any, ...]:
        if self.archive.filename is None:
            raise TypeError("The archive is no file on the disk, so that other processes cannot open it.")
        name = str(Path(self.archive.filename).absolute())
        return SentMember, (name, self.member.header_offset, self.member.CRC, self.max_bytes)


@dataclass(frozen=True, slots=True)
class SentMember:
    """The member that begins at a byte of an archive, which is opened when it is first read.

    Attributes:
        name: of the archive, absolute.
        offset: byte at which the member begins.
        checksum: its CRC-32 when the archive was listed.
        max_bytes: that are read of it.
    """

    name: str
    offset: int
    checksum: int
    max_bytes: int

    def read(self, _key: str) -> bytes:
        """The member's bytes; raises ImageError, or SourceError where it is another archive by now."""
        try:
            state = os.stat(self.name)  # noqa: PTH116  a third of Path's time
            archive, members = _open_once(self.name, (state.st_ino, state.st_size, state.st_mtime_ns))
        except ARCHIVE_FAULTS as error:
            raise self._refuse(str(error)) from error
        member = members.get(self.offset)
        if member is None or self.checksum != member.CRC:
            raise self._refuse("it has other members")
        return _unpack(archive, member, self.max_bytes)

    def _refuse(self, why: str) -> SourceError:
        return SourceError(
            f"{self.name}: is gone or has changed ({why}). Expected the archive that was listed until all is "
            "answered. Type the same command again: what has not changed is not asked again."
        )

    def find_file(self, _key: str) -> None:
        """It lies in the archive alone."""

    def find_folder(self, _key: str) -> str:
        """That of the archive."""
        return os.path.dirname(self.name)  # noqa: PTH120


@lru_cache(maxsize=4)
def _open_once(name: str, _state: tuple[int, ...]) -> tuple[zipfile.ZipFile, dict[int, zipfile.ZipInfo]]:
    """An archive and its members by the byte at which each begins, opened anew when the file has changed.

    A worker of a cluster outlives the command: another archive may lie under that name by the next one.
    """
    archive = zipfile.ZipFile(name)
    return archive, {each.header_offset: each for each in archive.infolist()}


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

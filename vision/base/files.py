"""Writes files whole or not at all: under another name, flushed to disk, then renamed.

Failures of the disk (no space, read-only, no permission) become a `StorageError` that says what to do.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from vision.base.errors import StorageError

PARTIAL_SUFFIX = ".partial"
"""Ending of files that are still being written, or were left by a process that died."""

_ADVICE = {
    errno.ENOSPC: "No space is left on the disk. Free some, for example with: python run.py clean --keep 3",
    errno.EDQUOT: "The disk quota is used up. Free some space, for example: python run.py clean --keep 3",
    errno.EROFS: "The disk is read-only. Choose a folder that can be written.",
    errno.EACCES: "Permission is missing. Choose another folder, or change the permissions of this one.",
    errno.EPERM: "Permission is missing. Choose another folder, or change the permissions of this one.",
}


@contextlib.contextmanager
def storage_errors(path: Path | str, doing: str = "write") -> Iterator[None]:
    """Turn an `OSError` inside the block into a `StorageError` that names the place and what to do.

    Raises:
        StorageError: in place of any OSError.
    """
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "Check the disk and the folder.")
        raise StorageError(f"{path}: cannot {doing}: {error.strerror or error}. {advice}") from error


@contextlib.contextmanager
def open_atomically(path: Path, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """A binary file to write; it appears as `path` when the block ends well, and not at all otherwise.

    Folders above `path` are made. The content is flushed to disk before the rename. `mode` says who may read
    it; until the rename only its owner may.

    Raises:
        StorageError: no space, no permission, a read-only disk.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-", suffix=PARTIAL_SUFFIX)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(mode)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _flush_folder(path.parent)


@contextlib.contextmanager
def open_resumable(path: Path) -> Iterator[IO[bytes]]:
    """As `open_atomically`, of which one at a time writes `path`: what it wrote is in the file of the next.

    Raises:
        StorageError: no space, no permission, a read-only disk.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}{PARTIAL_SUFFIX}")
        temporary.touch()
        with temporary.open("r+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _flush_folder(path.parent)


def write_atomically(path: Path, content: bytes | str, mode: int = 0o644) -> None:
    """Write a whole file at once; text as UTF-8. `mode` says who may read it.

    Raises:
        StorageError: no space, no permission, a read-only disk.
    """
    with open_atomically(path, mode) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal, read in pieces; StorageError if the file cannot be read."""
    with storage_errors(path, "read"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush_folder(folder: Path) -> None:
    """Make a rename outlast a power cut, where the system can flush folders (Windows cannot)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Pictures of one shape in a file without a name: read and written in chunks, so that memory stays flat."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from vision.base.files import storage_errors
from vision.base.record import ImageArray, IntArray


class ScratchPictures:
    """(n, height, width) uint8 on disk; rows are read when they are asked for."""

    def __init__(self, descriptor: int, shape: tuple[int, int, int]) -> None:
        """An open file that is as long as all pictures of a shape (n, height, width)."""
        self.descriptor, self.shape = descriptor, shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | IntArray) -> ImageArray:
        """The pictures of some rows, (m, height, width)."""
        chosen = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else np.asarray(rows)
        found = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        size = self.shape[1] * self.shape[2]
        if isinstance(rows, slice) and rows.step in (None, 1) and len(chosen):
            os.preadv(self.descriptor, [found.data], int(chosen[0]) * size)
        else:
            for place, row in enumerate(chosen.tolist()):
                os.preadv(self.descriptor, [found[place].data], row * size)
        return found

    def write(self, start: int, pictures: ImageArray) -> None:
        """Put pictures (m, height, width) at the rows from `start` on; OSError where the disk is full."""
        content = np.ascontiguousarray(pictures).data
        if os.pwrite(self.descriptor, content, start * pictures[0].size) < content.nbytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # of what just did not fit, no error tells


def read_in_chunks(images: ImageArray, chunk: int) -> Iterator[tuple[int, ImageArray]]:
    """Images (n, ...) in chunks with the first row of each.

    A whole file that is mapped into memory is read as a file, so that what was read does not stay.
    """
    starts = range(0, len(images), chunk)
    path = _file_of(images)
    if path is None or not isinstance(images, np.memmap):
        yield from ((start, np.asarray(images[start : start + chunk])) for start in starts)
        return
    with storage_errors(path, "read"), path.open("rb") as file:
        file.seek(images.offset)
        for start in starts:
            shape = (min(chunk, len(images) - start), *images.shape[1:])
            yield start, np.fromfile(file, images.dtype, int(np.prod(shape))).reshape(shape)


def _file_of(images: ImageArray) -> Path | None:
    """The file that images are the whole of, after its header; None where they are no such file."""
    if not isinstance(images, np.memmap) or images.filename is None:
        return None
    path = Path(images.filename)
    return path if path.stat().st_size == images.offset + images.nbytes else None


@contextmanager
def open_scratch(shape: tuple[int, int, int], folder: Path | None = None) -> Iterator[ScratchPictures]:
    """Room for pictures (n, height, width) on the disk of a folder, gone when it is left.

    Raises:
        StorageError: no space, or no permission.
    """
    with storage_errors(folder or Path(tempfile.gettempdir())), tempfile.TemporaryFile(dir=folder) as file:
        file.truncate(int(np.prod(shape)))
        yield ScratchPictures(file.fileno(), shape)

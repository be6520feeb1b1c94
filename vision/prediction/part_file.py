"""The unfinished answers of a batch, a line a file, so that a stopped batch goes on where it was.

The file lies in the output folder and is removed when the tables are whole.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from vision.base.errors import StorageError
from vision.base.files import storage_errors, write_atomically
from vision.base.record import Value
from vision.prediction.records import Row

PART_NAME = "answers.part.jsonl"
JOB_NAME = "job.json"
_FLUSH_SECONDS = 1.0


class Part(Value):
    """An answered file: its row, and the stamp that it had."""

    stamp: str
    row: Row


@dataclass
class PartFile:
    """The answered files of a batch, and the open file that takes more.

    Attributes:
        lines: path -> byte at which its line begins.
        file: of the lines.
    """

    lines: dict[str, int]
    file: IO[bytes]
    _flushed: float = field(default_factory=time.monotonic)

    def find(self, path: str, stamp: str) -> Row | None:
        """The row of a file that was answered and has not changed since."""
        start = self.lines.get(path)
        part = None if start is None else read_part(self.file, start)
        return part.row if part is not None and part.stamp == stamp else None

    def add(self, parts: Sequence[Part]) -> None:
        """Write answers down: at once for a process that is killed, within a second for a power cut.

        Raises:
            StorageError: they could not be written.
        """
        with storage_errors(Path(self.file.name)):
            end = self.file.seek(0, os.SEEK_END)
            for part in parts:
                self.lines[part.row.path] = end
                end += self.file.write(part.model_dump_json().encode() + b"\n")
            self.file.flush()
            if time.monotonic() - self._flushed > _FLUSH_SECONDS:
                os.fsync(self.file.fileno())
                self._flushed = time.monotonic()


def read_part(file: IO[bytes], start: int) -> Part:
    """The answered file whose line begins at a byte.

    Raises:
        StorageError: the line cannot be read.
    """
    with storage_errors(Path(file.name), "read"):
        file.seek(start)
        return Part.model_validate_json(file.readline())


@contextmanager
def open_part_file(folder: Path, job_key: str) -> Iterator[PartFile]:
    """The part file of a job in its output folder, with what an earlier attempt left there.

    Raises:
        StorageError: the folder holds another job's answers, or cannot be written.
    """
    path = folder / PART_NAME
    with storage_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        if read_job_key(folder) != job_key:
            if path.exists():
                raise StorageError(
                    f"{folder}: holds the unfinished answers to something else. Expected an empty folder. "
                    "Name another, or delete it."
                )
            write_atomically(folder / JOB_NAME, json.dumps({"key": job_key}) + "\n")
        file = path.open("a+b")
    try:
        with storage_errors(path):
            lines = _read_lines(file)
        yield PartFile(lines, file)
    finally:
        with storage_errors(path):  # what a full disk did not take is written once more, in vain
            file.close()


def read_job_key(folder: Path) -> str | None:
    """Of which job the answers in a folder are; None where none has begun there."""
    try:
        told = json.loads((folder / JOB_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    key = told.get("key") if isinstance(told, dict) else None
    return key if isinstance(key, str) else None


def is_unfinished(folder: Path, job_key: str) -> bool:
    """Whether a folder holds answers of this job that was stopped."""
    return (folder / PART_NAME).is_file() and read_job_key(folder) == job_key


def _read_lines(file: IO[bytes]) -> dict[str, int]:
    """Where the whole lines with answers begin; from the first that is not whole on, the file is cut off."""
    file.seek(0)
    lines: dict[str, int] = {}
    end = 0
    for line in file:
        try:
            part = Part.model_validate_json(line) if line.endswith(b"\n") else None
        except ValidationError:
            part = None
        if part is None:
            break
        if part.row.prediction is not None and part.row.digest:  # what could not be read is tried again
            lines[part.row.path] = end
        end += len(line)
    file.truncate(end)
    file.seek(end)
    return lines

"""A CSV file as text cells: separator and encoding are found."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Sequence
from pathlib import Path

from vision.base.errors import SourceError

PATH_COLUMNS = ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path")
"""Names of the column of paths, in any case."""

MAX_BYTES = 1_000_000_000

logger = logging.getLogger(__name__)


def read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """The header, stripped, and the rows below it; the first row is row 2 of the file.

    Raises:
        SourceError: the file cannot be read as a table.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SourceError(
                f"{path}: has {path.stat().st_size / 1e6:.0f} MB; expected at most {MAX_BYTES / 1e6:.0f} MB "
                "of paths. Split it."
            )
        text = _decode(path)
        lines = io.StringIO(text, newline="")
        rows = list(csv.reader(lines, delimiter=_find_delimiter(path, text), strict=True))
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be read: {(error.strerror or str(error)).lower()}. Expected a CSV file. Check "
            "the path."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(
            f"{path}: cannot be read as a CSV file: {error}. Expected every quote to be closed. Save it as "
            "CSV in UTF-8."
        ) from error
    header = [name.strip() for name in rows[0]] if rows else []
    return header, rows[1:]


def read_cell(row: Sequence[str], column: int | None) -> str:
    """The stripped text of a cell; empty where there is no such column, or the row is shorter."""
    return row[column].strip() if column is not None and column < len(row) else ""


def is_there(file: Path) -> bool:
    """Whether a file is there; no where no file can be called so."""
    try:
        return file.exists()
    except OSError:
        return False


def _decode(path: Path) -> str:
    """UTF-8, what a byte order mark says, or else Latin-1, which is told."""
    raw = path.read_bytes()
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        logger.warning(
            "%s is not UTF-8 (byte %d), so it was read as Latin-1. If names look wrong, save it as CSV in "
            "UTF-8.",
            path,
            error.start,
        )
        return raw.decode("latin-1")


def _find_delimiter(path: Path, text: str) -> str:
    """The separator that the first line has most of; a table of one column has none."""
    first = text.partition("\n")[0]
    if path.suffix.lower() == ".tsv":
        return "\t"
    return max(",;\t|", key=first.count)

"""A CSV file of paths as items: one of its columns names the pictures, another may name their groups."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

from vision.base.errors import SourceError
from vision.prediction.items import Item, make_faulty, make_item

PATH_COLUMNS = ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path")
"""Names of the column of paths, in any case; the first of these that is there is read."""

GROUP_COLUMN = "group"
MAX_BYTES = 1_000_000_000


def list_table(path: Path) -> list[Item]:
    """An item a row, in the order of the rows; relative paths are taken from the CSV file's folder.

    Raises:
        SourceError: the file cannot be read as a table, or has no column of paths.
    """
    rows = _read_rows(path)
    header = [name.strip() for name in next(rows, [])]
    columns = {name.lower(): place for place, name in reversed(list(enumerate(header)))}
    found = next((columns[name] for name in PATH_COLUMNS if name in columns), None)
    if found is None:
        raise SourceError(
            f"{path}: has the columns {', '.join(header) or 'none'}. Expected one named "
            f"{', '.join(PATH_COLUMNS[:3])} or {PATH_COLUMNS[6]}, which says where each "
            "picture lies. Name it so in the first line."
        )
    group = columns.get(GROUP_COLUMN)
    return [_make_item(path, row, number, found, group) for number, row in enumerate(rows, 2) if any(row)]


def _make_item(table: Path, row: list[str], number: int, column: int, group_column: int | None) -> Item:
    text = row[column].strip() if column < len(row) else ""
    if not text:
        return make_faulty(f"{table.name}, row {number}", "the row names no file")
    group = row[group_column].strip() if group_column is not None and group_column < len(row) else ""
    place = Path(text).expanduser() if text.startswith("~/") else Path(text)
    file = table.parent / place
    if "\\" in text and not _is_there(file):  # a table that was written on Windows
        file = table.parent / PureWindowsPath(text).as_posix()
    return make_item(text, file, group or None)


def _is_there(file: Path) -> bool:
    try:
        return file.exists()
    except OSError:  # no file can be called so
        return False


def _read_rows(path: Path) -> Iterator[list[str]]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SourceError(
                f"{path}: has {path.stat().st_size / 1e6:.0f} MB; expected at most {MAX_BYTES / 1e6:.0f} MB "
                "of paths. Split it."
            )
        text = _decode(path.read_bytes())
        rows = list(csv.reader(io.StringIO(text), delimiter=_find_delimiter(path, text)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(
            f"{path}: cannot be read as a CSV file: {error}. Save it as CSV in UTF-8."
        ) from error
    return iter(rows)


def _decode(raw: bytes) -> str:
    """UTF-8, or what a byte order mark says."""
    return raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")


def _find_delimiter(path: Path, text: str) -> str:
    """The separator that the first line has most of; a table of one column has none."""
    first = text.partition("\n")[0]
    if path.suffix.lower() == ".tsv":
        return "\t"
    return max(",;\t", key=first.count)

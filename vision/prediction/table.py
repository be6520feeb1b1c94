"""A CSV file of paths as items: one of its columns names the pictures, another may name their groups."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path, PureWindowsPath

from vision.base.errors import SourceError
from vision.data.decoding.cutting import parse_box
from vision.data.records import Box
from vision.data.sources.table.reading import PATH_COLUMNS, is_there, read_cell, read_table
from vision.data.sources.table.rows import Places, find_start
from vision.prediction.items import Item, make_faulty, make_item

logger = logging.getLogger(__name__)

GROUP_COLUMN = "group"
BOX_COLUMNS = (("left", "top", "width", "height"), ("x", "y", "width", "height"), ("x", "y", "w", "h"))
"""Names of the four columns of a box, each perhaps after box_ or bbox_."""


def list_table(path: Path) -> list[Item]:
    """An item a row, in the order of the rows.

    Relative paths start from the CSV file's folder. Where not one is there, they start from the folder in or
    beside it that has the pictures, which is told.

    Raises:
        SourceError: the file cannot be read as a table, has no column of paths, or names pictures that two
            folders have.
    """
    header, rows = read_table(path)
    columns = {name.lower(): place for place, name in reversed(list(enumerate(header)))}
    found = next((columns[name] for name in PATH_COLUMNS if name in columns), None)
    if found is None:
        raise SourceError(
            f"{path}: has the columns {', '.join(header) or 'none'}. Expected one named "
            f"{', '.join(PATH_COLUMNS[:3])} or {PATH_COLUMNS[6]}, which says where each "
            "picture lies. Name it so in the first line."
        )
    group = columns.get(GROUP_COLUMN)
    box = _find_box(columns)
    places = _find_elsewhere(path, [read_cell(row, found) for row in rows])
    deployment, taken = columns.get("deployment", columns.get("deploymentid")), columns.get("timestamp")
    return [
        replace(
            _make_item(path, row, number, (found, group), places),
            deployment=read_cell(row, deployment),
            taken=read_cell(row, taken),
            box=_read_box([read_cell(row, place) for place in box]),
        )
        for number, row in enumerate(rows, 2)
        if any(row)
    ]


def _find_elsewhere(table: Path, texts: Sequence[str]) -> Places | None:
    """The folder that has the pictures where not one lies where the table says; None if there is none."""
    if any(is_there(_find_file(table, text)) for text in texts if text):
        return None
    count, start = find_start(table.parent, texts, way="move the table into one of them.")
    if not count:
        return None
    logger.warning("%s: its pictures do not lie where it says; they are taken from %s.", table, start)
    return Places(start)


def _find_box(columns: Mapping[str, int]) -> tuple[int, ...]:
    """Places of the four columns of a box; none where there is none."""
    for prefix, names in product(("", "box_", "bbox_"), BOX_COLUMNS):
        if all(f"{prefix}{name}" in columns for name in names):
            return tuple(columns[f"{prefix}{name}"] for name in names)
    return ()


def _read_box(cells: Sequence[str]) -> Box | None:
    """The box of a row; of cells that hold something else one of no area, which is told where it is used."""
    if not any(cells):
        return None
    try:
        return parse_box(cells)
    except ValueError:
        return 0.0, 0.0, 0.0, 0.0


def _make_item(
    table: Path, row: list[str], number: int, columns: tuple[int, int | None], places: Places | None
) -> Item:
    text, group = (read_cell(row, column) for column in columns)
    if not text:
        return make_faulty(f"{table.name}, row {number}", "the row names no file")
    found = places.find(text) if places else None
    file = places.root / found if places and found else _find_file(table, text)
    return make_item(text, file, group or None)


def _find_file(table: Path, text: str) -> Path:
    """Where a cell says that its picture lies, relative to the table."""
    place = Path(text).expanduser() if text.startswith("~/") else Path(text)
    file = table.parent / place
    if "\\" in text and not is_there(file):  # a table that was written on Windows
        file = table.parent / PureWindowsPath(text).as_posix()
    return file

"""A CSV file of paths as items: one of its columns names the pictures, another may name their groups."""

from __future__ import annotations

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

GROUP_COLUMN = "group"
BOX_COLUMNS = (("left", "top", "width", "height"), ("x", "y", "width", "height"), ("x", "y", "w", "h"))
"""Names of the four columns of a box, each perhaps after box_ or bbox_."""


def list_table(path: Path) -> list[Item]:
    """An item a row, in the order of the rows.

    Relative paths start from the CSV file's folder, or from the one in or beside it that has the pictures.

    Raises:
        SourceError: the file cannot be read as a table, or has no column of paths.
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
    start = find_start(path.parent, [read_cell(row, found) for row in rows])[1]
    places = Places(start)
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
    table: Path, row: list[str], number: int, columns: tuple[int, int | None], places: Places
) -> Item:
    text, group = (read_cell(row, column) for column in columns)
    if not text:
        return make_faulty(f"{table.name}, row {number}", "the row names no file")
    place = Path(text).expanduser() if text.startswith("~/") else Path(text)
    file = table.parent / place
    if "\\" in text and not is_there(file):  # a table that was written on Windows
        file = table.parent / PureWindowsPath(text).as_posix()
    if not is_there(file) and (found := places.find(text)):
        file = places.root / found
    return make_item(text, file, group or None)

"""A CSV file of paths as items: one of its columns names the pictures, another may name their groups."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path, PureWindowsPath

from vision.base.errors import SourceError
from vision.data.decoding.cutting import parse_box
from vision.data.records import Box
from vision.data.sources.table.reading import PATH_COLUMNS, is_there, read_cell, read_table
from vision.data.sources.table.rows import Places, find_start
from vision.prediction.items import Folder, Item, make_faulty, make_item

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
    rows_of = _Rows(path, Folder(path.parent.absolute()), places, Folder(places.root) if places else None)
    items = []
    for number, row in enumerate(rows, 2):
        if any(row):
            item = rows_of.make_item(number, read_cell(row, found), read_cell(row, group) or None)
            where, when = read_cell(row, deployment), read_cell(row, taken)
            marked = _read_box([read_cell(row, place) for place in box])
            is_told = where or when or marked is not None
            items.append(replace(item, deployment=where, taken=when, box=marked) if is_told else item)
    return items


@dataclass(frozen=True)
class _Rows:
    """Where the files of a table's rows lie: in its own folder, or elsewhere."""

    table: Path
    folder: Folder
    places: Places | None
    elsewhere: Folder | None

    def make_item(self, number: int, text: str, group: str | None) -> Item:
        """The item of what one row names."""
        if not text:
            return make_faulty(f"{self.table.name}, row {number}", "the row names no file")
        found = self.places.find(text) if self.places else None
        if found and self.elsewhere:
            return make_item(text, self.elsewhere, found, group)
        return make_item(text, self.folder, _find_key(self.table, text), group)


def _find_elsewhere(table: Path, texts: Sequence[str]) -> Places | None:
    """The folder that has the pictures where not one lies where the table says; None if there is none."""
    if any(is_there(table.parent / _find_key(table, text)) for text in texts if text):
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


def _find_key(table: Path, text: str) -> str:
    """Where a cell says that its picture lies: absolute, or from the table's folder."""
    place = str(Path(text).expanduser()) if text.startswith("~/") else text
    if "\\" in text and not is_there(table.parent / place):  # a table that was written on Windows
        return PureWindowsPath(text).as_posix()
    return place

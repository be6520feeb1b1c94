"""A CSV file of paths and labels as a source."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from vision.base.errors import SourceError
from vision.base.names import comparison_key, find_near
from vision.config.sources.tables import CsvSource
from vision.data.decoding.cutting import CUT_VERSION, parse_box
from vision.data.records import Manifest
from vision.data.sources.coco.cutting import cut_boxes
from vision.data.sources.declaration import Base, Progress, Source
from vision.data.sources.finding import find_root
from vision.data.sources.folder import FolderListing, group_files
from vision.data.sources.table.reading import PATH_COLUMNS, is_there, read_cell, read_table
from vision.data.sources.table.rows import LabelRow, Places, describe_rows, find_start, list_rows

LABEL_COLUMNS = (
    *("label", "labels", "class", "classname", "class_name", "category", "kind", "target", "type"),
    *("species", "specie", "breed"),
)
"""Names of the column of labels, in any case."""


def find_table(settings: CsvSource) -> Path:
    """The folder of the images; SourceError if it is missing, or the table is."""
    path = settings.path.expanduser()
    if not path.is_file():
        beside = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        near = find_near(path.name, beside)
        raise SourceError(
            f"{path}: there is no such file. Expected a CSV file of paths and labels. "
            + (f"Did you mean {path.parent / near}?" if near else "Correct the path (dataset.path).")
        )
    return find_root(
        settings.images or path.parent, "Expected the folder that paths start from; set dataset.images to it."
    )


def list_table(settings: CsvSource) -> tuple[Path, FolderListing]:
    """The folder of the images, and those that the table names.

    Raises:
        SourceError: the table, a column or the folder is not there; or the rows are no data set.
    """
    root = find_table(settings)
    header, rows = read_table(settings.path.expanduser())
    labels, by_box = list(_read(settings, header, rows)), settings.use == "boxes"
    _require_pictures(settings, root, [row.path for row in labels])
    listing = list_rows(str(settings.path), root, labels, settings, by_box=by_box)
    files = group_files(root, settings.group_by, listing.files)
    if by_box:  # what is cut out of one picture stays together
        files = [replace(each, group=each.group or each.path) for each in files]
    return root, replace(listing, files=tuple(files))


def _require_pictures(settings: CsvSource, root: Path, paths: list[str]) -> None:
    """Refuse a table of whose pictures not one is there; the folder that has them is offered."""
    places = Places(root)
    if not paths or any((found := places.find(path)) and is_there(root / found) for path in paths):
        return
    count, start = find_start(root, paths)
    raise SourceError(
        f"{settings.path}: not one of its pictures is in {root} (first: {paths[0]}). Expected paths that "
        f"start from a folder. Say from which: --set dataset.images={start if count else 'FOLDER'}"
    )


def _read(settings: CsvSource, header: list[str], rows: Iterable[list[str]]) -> Iterator[LabelRow]:
    def place(column: str | None, setting: str) -> int | None:
        return None if column is None else _place(settings, header, column, setting)

    path = place(settings.path_column or _guess(settings, header, PATH_COLUMNS, "path"), "path_column")
    label = place(settings.rank, "rank") if settings.rank else None
    if label is None:
        own = settings.label_column or _guess(settings, header, LABEL_COLUMNS, "label")
        label = place(own, "label_column")
    group = place(settings.group_column, "group_column")
    split = place(settings.split_column, "split_column")
    sides = [place(column, "box_columns") for column in settings.box_columns or ()]
    for number, row in enumerate(rows, 2):
        if not any(row):
            continue
        yield LabelRow(
            place=f"row {number}",
            path=read_cell(row, path),
            label=read_cell(row, label),
            group=read_cell(row, group),
            split=None if split is None else read_cell(row, split),
            box=_read_box(settings, number, [read_cell(row, side) for side in sides]),
        )


def _read_box(settings: CsvSource, number: int, cells: list[str]) -> tuple[float, float, float, float] | None:
    if not any(cells):
        return None
    try:
        return parse_box(cells)
    except ValueError:
        raise SourceError(
            f"{settings.path}: row {number} has the box {', '.join(map(repr, cells))}. Expected four numbers "
            "of pixels, or four empty cells. Correct the row or dataset.box_columns."
        ) from None


def _place(settings: CsvSource, header: list[str], column: str, setting: str) -> int:
    keys = [comparison_key(name) for name in header]
    if header.count(column) == 1:
        return header.index(column)
    if header.count(column) > 1:
        raise SourceError(
            f"{settings.path}: {header.count(column)} columns are called {column!r} (dataset.{setting}). "
            "Expected one. Rename the others."
        )
    if keys.count(comparison_key(column)) == 1:
        return keys.index(comparison_key(column))
    near = find_near(column, header)
    raise SourceError(
        f"{settings.path}: dataset.{setting} names the column {column!r}, which is not there"
        f"{f'; did you mean {near}?' if near else '.'} Expected one of: {', '.join(header)}."
    )


def _guess(settings: CsvSource, header: list[str], names: Collection[str], what: str) -> str:
    found = [name for name in header if comparison_key(name) in names]
    if len(found) == 1:
        return found[0]
    said = f"{' and '.join(found)} may each be the {what}" if found else f"no column is called {what}"
    raise SourceError(
        f"{settings.path}: {said}. Expected one. Say which: dataset.{what}_column, one of "
        f"{', '.join(header) or 'none'}."
    )


def describe_table(settings: CsvSource, _data_folder: Path) -> tuple[str, Base]:
    """Digest of rows and files, and the classes."""
    return _describe(settings, *list_table(settings))


def _describe(settings: CsvSource, root: Path, listing: FolderListing) -> tuple[str, Base]:
    digest, base = describe_rows(root, listing)
    if settings.use == "boxes":
        digest = hashlib.sha256(f"{CUT_VERSION} {settings.margin} {digest}".encode()).hexdigest()
    return digest, base


def read_labels(settings: CsvSource, data_folder: Path, progress: Progress | None) -> Manifest:
    """The manifest of the pictures that the table names, or of the boxes that are cut out of them."""
    root, listing = list_table(settings)
    digest, _ = _describe(settings, root, listing)
    if settings.use == "frames":
        return listing.read(root, digest, settings, progress)
    folder = data_folder.resolve() / f"boxes-{digest[:16]}"
    files, faults = cut_boxes(listing.files, root, folder, settings.margin, progress)
    cut = FolderListing(tuple(files), (*listing.quarantined, *faults), listing.remarks)
    manifest = cut.read(folder, digest, settings, progress)
    return manifest.model_copy(update={"crop_margin": settings.margin})


CSV = Source(check=find_table, describe=describe_table, read=read_labels)

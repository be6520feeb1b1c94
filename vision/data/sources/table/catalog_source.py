"""The images of a catalogue as a source."""

from __future__ import annotations

import os
from pathlib import Path

from vision.base.errors import SourceError
from vision.config.sources.tables import CatalogSource
from vision.data.records import Manifest
from vision.data.sources.declaration import Base, Progress, Source
from vision.data.sources.folder import FolderListing
from vision.data.sources.table.catalog import locate_catalog, read_catalog
from vision.data.sources.table.rows import LabelRow, describe_rows, list_rows


def check_catalog(settings: CatalogSource) -> None:
    """Reach the database, where the settings name one.

    Raises:
        SourceError: it cannot be reached, or holds no catalogue.
    """
    if settings.url is not None:
        read_catalog(locate_catalog(settings.url, Path()))


def list_catalog(settings: CatalogSource, data_folder: Path) -> tuple[Path, FolderListing]:
    """The folder that holds all images, and the images.

    Raises:
        SourceError: the database cannot be reached, is empty, or its rows are no data set.
    """
    url = locate_catalog(settings.url, data_folder)
    found = read_catalog(url)
    name = url.render_as_string(hide_password=True)
    if not found:
        raise SourceError(f"{name}: the catalogue is empty. Fill it: python run.py catalog FOLDER")
    relative = next((row["path"] for row in found if not Path(row["path"]).is_absolute()), None)
    if relative is not None:
        raise SourceError(f"{name}: names the path {relative!r}. Expected absolute paths. Correct the rows.")
    root = Path(os.path.commonpath([os.path.dirname(row["path"]) for row in found]))  # noqa: PTH120
    has_splits = any(row["split"] for row in found)
    rows = [
        LabelRow(
            place=row["path"],
            path=row["path"],
            label=row["label"] or "",
            group=row["group"] or "",
            split=(row["split"] or "") if has_splits else None,
        )
        for row in found
    ]
    held_out = {row["label"] for row in found if row["held_out"] and row["label"]}
    named = settings.model_copy(
        update={"unknown_classes": tuple(sorted({*settings.unknown_classes, *held_out}))}
    )
    return root, list_rows(name, root, rows, named)


def describe_catalog(settings: CatalogSource, data_folder: Path) -> tuple[str, Base]:
    """Digest of rows and files, and the classes."""
    return describe_rows(*list_catalog(settings, data_folder))


def read_images(settings: CatalogSource, data_folder: Path, progress: Progress | None) -> Manifest:
    """The manifest of the pictures of the catalogue."""
    root, listing = list_catalog(settings, data_folder)
    return listing.read(root, describe_rows(root, listing)[0], settings, progress)


CATALOG = Source(check=check_catalog, describe=describe_catalog, read=read_images)

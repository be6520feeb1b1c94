"""Sources whose rows name the images: a CSV file, or a table of a database."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from vision.config.labelled import LabelledSource


class CsvSource(LabelledSource):
    """A CSV file of paths and labels, and a folder of images."""

    source: Literal["csv"] = "csv"
    path: Path = Field(description="the table: commas, semicolons or tabs")
    images: Path | None = Field(
        default=None, description="what paths start from; default: the table's folder"
    )
    path_column: str | None = Field(default=None, description="default: the one called path, file, image, …")
    label_column: str | None = Field(default=None, description="default: the one called label, species, …")
    rank: str | None = Field(
        default=None, description="the column that is the class in place of label_column: genus, family"
    )
    group_column: str | None = Field(default=None, description="what stays in one split")
    split_column: str | None = Field(default=None, description="train, validation or test in each row")
    box_columns: tuple[str, str, str, str] | None = Field(
        default=None, description="left, top, width and height of the subject in pixels"
    )


class CatalogSource(LabelledSource):
    """The images of a catalogue in a database, which `run.py catalog` fills."""

    source: Literal["catalog"] = "catalog"
    url: str | None = Field(
        default=None,
        description="sqlite:///catalog.db or postgresql://user@host/name, the password in PGPASSWORD or "
        "~/.pgpass; default: catalog.db in the project's data folder",
    )

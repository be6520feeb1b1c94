"""Sources whose rows name the images: a CSV file, or a table of a database."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from vision.config.data import GROUP_HELP, GroupPattern
from vision.config.sources.labelled import CutSource, LabelledSource


class CsvSource(CutSource):
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
    group_by: GroupPattern | None = Field(default=None, description=f"in place of group_column: {GROUP_HELP}")
    split_column: str | None = Field(default=None, description="train, validation or test in each row")
    box_columns: tuple[str, str, str, str] | None = Field(
        default=None, description="left, top, width and height of the subject in pixels"
    )

    @model_validator(mode="after")
    def _groups_are_declared_once(self) -> Self:
        if self.group_column is not None and self.group_by is not None:
            raise ValueError("group_column and group_by both say what a group is; keep one of them")
        return self

    @model_validator(mode="after")
    def _boxes_are_named(self) -> Self:
        if self.use == "boxes" and self.box_columns is None:
            raise ValueError("use: boxes needs box_columns: the columns of left, top, width and height")
        return self


class CatalogSource(LabelledSource):
    """The images of a catalogue in a database, which `run.py catalog` fills."""

    source: Literal["catalog"] = "catalog"
    url: str | None = Field(
        default=None,
        description="sqlite:///catalog.db or postgresql://user@host/name, the password in PGPASSWORD or "
        "~/.pgpass; default: catalog.db in the project's data folder",
    )

"""What every record is built on: frozen values with a schema version, and sets of files with digests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, get_args, get_origin

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from vision.base.columns.column import Columnar
from vision.base.errors import StorageError, TaxonError
from vision.base.home import Place

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
ImageArray = NDArray[np.uint8]


class Record(BaseModel):
    """A frozen value with a schema version; a record of a newer schema is refused, not guessed at."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    SCHEMA_VERSION: ClassVar[int] = 1
    schema_version: int = 1

    @model_validator(mode="after")
    def _refuse_newer_schema(self) -> Self:
        if self.schema_version > self.SCHEMA_VERSION:
            raise ValueError(
                f"{type(self).__name__} has schema version {self.schema_version}; this program reads up to "
                f"{self.SCHEMA_VERSION}. Update Taxon."
            )
        return self

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with other values in some fields; a sequence in a field of columns becomes columns."""
        kinds = self.columnar_fields()
        given = {
            name: kinds[name][0].of(kinds[name][1], value)
            if name in kinds and not isinstance(value, Columnar)
            else value
            for name, value in (update or {}).items()
        }
        return super().model_copy(update=given, deep=deep)

    @classmethod
    def columnar_fields(cls) -> dict[str, tuple[type[Columnar[Any]], Any]]:
        """Fields that are kept as columns: name -> their class and the type of its values."""
        origins = {name: get_origin(field.annotation) for name, field in cls.model_fields.items()}
        return {
            name: (origin, get_args(cls.model_fields[name].annotation)[0])
            for name, origin in origins.items()
            if isinstance(origin, type) and issubclass(origin, Columnar)
        }

    def figures(self) -> dict[str, float]:
        """Figures beside its scalar fields that a list of runs and the dashboard show."""
        return {}


class Value(BaseModel):
    """A frozen part of a record."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Interval(Value):
    """A figure with the bootstrap interval around it."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """`0.953 (0.931 to 0.972)`."""
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


class FolderRecord(Record):
    """Names a folder of this project whose files a step on another machine must have as well.

    `FILES` are their names; the last of them is written last, and where it is the others are.
    """

    FILES: ClassVar[tuple[str, ...]] = ()

    path: Place


class FileSet(Record):
    """Files with their digests; the materializer copies them into the artifact store and checks on load.

    `root` is where the files lie now. It is not part of the content: two file sets with equal digests are
    equal wherever they lie.
    """

    ERROR: ClassVar[type[TaxonError]] = StorageError
    """Raised if a file is missing or altered."""

    root: Path = Field(exclude=True)
    files: dict[str, str] = Field(description="relative POSIX name -> SHA-256, hexadecimal")

    def path(self, name: str) -> Path:
        """Where the file `name` lies now."""
        return self.root / name

    @property
    def digest(self) -> str:
        """SHA-256 over the sorted names and digests."""
        lines = "".join(f"{name}\0{self.files[name]}\n" for name in sorted(self.files))
        return hashlib.sha256(lines.encode()).hexdigest()

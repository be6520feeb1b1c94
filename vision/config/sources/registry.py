"""Every kind of source that `dataset:` may name; `source:` tells which."""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from vision.config.data import FolderSource, GrowingSource, ReefSource
from vision.config.sources.labelled import CocoSource, FathomnetSource, TfdsSource
from vision.config.sources.tables import CatalogSource, CsvSource

SourceSettings = Annotated[
    ReefSource | FolderSource | CocoSource | TfdsSource | FathomnetSource | CsvSource | CatalogSource,
    Field(discriminator="source"),
]

KINDS: dict[str, type[GrowingSource]] = {
    kind.model_fields["source"].default: kind for kind in get_args(get_args(SourceSettings)[0])
}
"""`source:` -> its settings."""

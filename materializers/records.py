"""A record is stored as JSON; its scalars become metadata and its drawings what the dashboard shows.

The content hash covers class and canonical JSON, so that equal records are equal to the cache. Fields that
are columns lie beside it as Parquet files, of which the JSON has the digest; before, they were lists in it.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any, ClassVar

from pydantic import BaseModel
from zenml.enums import ArtifactType, VisualizationType
from zenml.materializers.base_materializer import BaseMaterializer

from vision.base.columns.column import Columnar
from vision.base.columns.parquet import read_table, write_table
from vision.base.errors import StorageError
from vision.base.files import storage_errors
from vision.base.home import home_context
from vision.base.record import Interval, Record

RECORD_NAME, COLUMNS_ENDING = "record.json", ".parquet"
DIGEST = "sha256"


class RecordMaterializer(BaseMaterializer):
    """Stores any `vision.base.record.Record` that holds no files."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Record,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def save(self, data: Record) -> None:
        """Write `record.json`.

        Raises:
            StorageError: the artifact store refuses.
        """
        with storage_errors(self.uri):
            write_record(self, data)

    def load(self, data_type: type[Record]) -> Record:
        """Read `record.json`.

        Raises:
            StorageError: the artifact store refuses, or the record is not the one that was stored.
        """
        with storage_errors(self.uri, "read"):
            return data_type.model_validate(read_record(self, data_type), context=home_context())

    def extract_metadata(self, data: Record) -> dict[str, Any]:
        """Scalars by field name, intervals with their ends, tuples as counts."""
        return describe_record(data)

    def compute_content_hash(self, data: Record) -> str:
        """SHA-256 of class name and canonical JSON."""
        return hash_record(data)

    def save_visualizations(self, data: Record) -> dict[str, VisualizationType]:
        """PNG and Markdown views of the record, for the dashboard."""
        return save_views(self, data)


def write_record(materializer: BaseMaterializer, record: BaseModel) -> None:
    """Write the record's JSON into the artifact's folder; its places are relative to the project's folder."""
    for name, columns in _columns_of(record).items():
        with materializer.artifact_store.open(f"{materializer.uri}/{name}{COLUMNS_ENDING}", "wb") as file:
            write_table(columns.to_table(), file)
    with materializer.artifact_store.open(f"{materializer.uri}/{RECORD_NAME}", "w") as file:
        file.write(json.dumps(_dump_fields(record), indent=1, ensure_ascii=False))


def read_record(materializer: BaseMaterializer, data_type: type[BaseModel]) -> dict[str, Any]:
    """The fields of the record in the artifact's folder, checked against the recorded content hash if any.

    What is hashed are the fields as they were stored: one that the class has got since then does not count.

    Raises:
        StorageError: the file holds no fields, or others than those that were stored.
    """
    uri = f"{materializer.uri}/{RECORD_NAME}"
    with materializer.artifact_store.open(uri, "r") as file:
        try:
            fields: dict[str, Any] = json.loads(file.read())
        except ValueError as error:
            raise StorageError(_altered(uri)) from error
    expected = materializer.expected_content_hash
    if expected is not None and _hash_fields(data_type, fields) != expected:
        raise StorageError(_altered(uri))
    kinds = data_type.columnar_fields() if issubclass(data_type, Record) else {}
    columns = {
        name: _read_columns(materializer, name, str(fields[name][DIGEST]), *kind)
        for name, kind in kinds.items()
        if isinstance(fields.get(name), dict)
    }
    return fields | columns


def hash_record(record: BaseModel) -> str:
    """SHA-256 of class name and canonical JSON, hexadecimal."""
    return _hash_fields(type(record), _dump_fields(record))


def describe_record(record: BaseModel) -> dict[str, Any]:
    """Metadata of a record: scalars, `name_low` and `name_high` of intervals, `num_name` of tuples.

    What is not finite is left out, because ZenML's API cannot carry it.
    """
    metadata: dict[str, Any] = {}
    texts = {name for name in type(record).model_fields if isinstance(getattr(record, name), str)}
    stored = record.model_dump(mode="json", include=texts, context=home_context())
    for name in type(record).model_fields:
        value = getattr(record, name)
        if isinstance(value, Interval):
            metadata |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
        elif isinstance(value, tuple | Columnar):
            metadata[name if name.startswith("num_") else f"num_{name}"] = len(value)
        elif isinstance(value, str | int | float | bool) and name != "schema_version":
            metadata[name] = stored[name] if isinstance(value, str) else value
    if isinstance(record, Record):
        metadata |= record.figures()
    return {key: value for key, value in metadata.items() if _is_storable(value)}


def save_views(materializer: BaseMaterializer, record: Record) -> dict[str, VisualizationType]:
    """Draw the record and store its views: uri -> type; pictures first, because the first one is shown."""
    from report.figures import draw_views

    views: dict[str, VisualizationType] = {}
    for name, content in sorted(draw_views(record).items(), key=lambda view: view[0].endswith(".md")):
        uri = f"{materializer.uri}/{name}"
        with materializer.artifact_store.open(uri, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        views[uri] = VisualizationType.MARKDOWN if name.endswith(".md") else VisualizationType.IMAGE
    return views


def _columns_of(record: BaseModel) -> dict[str, Columnar[Any]]:
    names = record.columnar_fields() if isinstance(record, Record) else ()
    return {name: getattr(record, name) for name in names}


def _dump_fields(record: BaseModel) -> dict[str, Any]:
    """The fields as JSON; of columns their length and the digest of their file."""
    columns = _columns_of(record)
    fields = record.model_dump(mode="json", exclude=set(columns), context=home_context())
    return fields | {name: {"num": len(each), DIGEST: each.digest} for name, each in columns.items()}


def _read_columns(
    materializer: BaseMaterializer, name: str, digest: str, kind: type[Columnar[Any]], annotation: Any
) -> Columnar[Any]:
    uri = f"{materializer.uri}/{name}{COLUMNS_ENDING}"
    with storage_errors(uri, "read"), materializer.artifact_store.open(uri, "rb") as file:
        content = file.read()
    if hashlib.sha256(content).hexdigest() != digest:
        raise StorageError(_altered(uri))
    try:
        return kind.from_table(annotation, read_table(content))
    except ValueError as error:
        raise StorageError(_altered(uri)) from error


def _hash_fields(data_type: type[BaseModel], fields: dict[str, Any]) -> str:
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{data_type.__name__}\0{canonical}".encode()).hexdigest()


def _altered(uri: str) -> str:
    return (
        f"{uri} does not hold the record that was stored there; the file was altered or cut short. "
        "Delete the artifact and run the pipeline again."
    )


def _is_storable(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)

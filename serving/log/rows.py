"""An answer as a row of the database and back, without losing a bit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Row

from serving.log.entries import ARRAY_TYPES, NUMBERS, TEXTS, LogEntry, to_utc
from vision.base.errors import DataError, LogError
from vision.base.record import FloatArray

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_WIDTHS = {"logits": "num_logits", "embedding": "embedding_width", "quality": "quality_width"}
_SAME = (*TEXTS, *NUMBERS, "file_name")


def to_row(entry: LogEntry) -> dict[str, Any]:
    """Columns of the table `predictions`, all but the number that the database gives."""
    row: dict[str, Any] = {name: getattr(entry, name) for name in _SAME}
    row |= {
        "time_us": to_microseconds(entry.time),
        "group_name": entry.group,
        "decision": entry.decision.value,
    }
    for name, width in _WIDTHS.items():
        array = getattr(entry, name)
        row[name], row[width] = array.tobytes(), len(array)
    return row


def to_entry(row: Row[Any], log_name: str) -> LogEntry:
    """The answer in a row of `predictions`, with its image where the row was joined with it.

    Raises:
        LogError: the row is not one that Taxon wrote.
    """
    stored = row._mapping
    fields: dict[str, Any] = {name: stored[name] for name in (*_SAME, "number", "decision")}
    try:
        fields |= {name: _to_array(name, stored[name], stored[width]) for name, width in _WIDTHS.items()}
        return LogEntry(
            **fields,
            time=to_time(stored["time_us"]),
            group=stored["group_name"],
            image=stored.get("image"),
        )
    except (ValueError, DataError) as error:
        raise LogError(
            f"{log_name}: answer {stored['number']} cannot be read: {error} Something else than Taxon wrote "
            f"it. Delete it: PredictionLog.delete_answers(prediction_id={stored['prediction_id']!r})"
        ) from error


def to_microseconds(time: datetime) -> int:
    """Microseconds since 1970 in UTC: exact, sortable, and the same in every database.

    Raises:
        ValueError: a time without a zone.
    """
    return (to_utc(time) - _EPOCH) // _MICROSECOND


def to_time(microseconds: int) -> datetime:
    """The moment, in UTC."""
    return _EPOCH + microseconds * _MICROSECOND


def _to_array(name: str, stored: bytes, width: int) -> FloatArray:
    array: FloatArray = np.frombuffer(stored, ARRAY_TYPES[name])
    if len(array) != width:
        raise ValueError(f"An array holds {len(array)} numbers; expected its stated width {width}.")
    return array

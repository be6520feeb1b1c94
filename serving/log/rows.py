"""An answer as a row of the database and back, without losing a bit."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import numpy as np
from sqlalchemy import Connection, Row, insert

from serving.log.entries import EMBEDDING_TYPE, LOGIT_TYPE, QUALITY_TYPE, LogEntry, to_utc
from serving.log.schema import PREDICTIONS
from vision.base.errors import DataError, LogError
from vision.base.record import FloatArray
from vision.decision.records import Decision

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INSERT = insert(PREDICTIONS).returning(PREDICTIONS.c.number)
_GIVEN = [column.name for column in PREDICTIONS.columns if not column.primary_key]
_PLACES = ", ".join(f":{name}" for name in _GIVEN)
_SQLITE_INSERT = f"INSERT INTO {PREDICTIONS.name} ({', '.join(_GIVEN)}) VALUES ({_PLACES})"


def to_row(entry: LogEntry) -> dict[str, Any]:
    """Columns of the table `predictions`, all but the number that the database gives."""
    return {
        "prediction_id": entry.prediction_id,
        "time_us": to_microseconds(entry.time),
        "client": entry.client,
        "file_name": entry.file_name,
        "latency_ms": entry.latency_ms,
        "model_name": entry.model_name,
        "model_version": entry.model_version,
        "model_digest": entry.model_digest,
        "group_name": entry.group,
        "decision": entry.decision.value,
        "class_name": entry.class_name,
        "confidence": entry.confidence,
        "unknown_score": entry.unknown_score,
        "p_value": entry.p_value,
        "num_logits": len(entry.logits),
        "embedding_width": len(entry.embedding),
        "quality_width": len(entry.quality),
        "logits": entry.logits.tobytes(),
        "embedding": entry.embedding.tobytes(),
        "quality": entry.quality.tobytes(),
    }


def insert_answer(connection: Connection, row: dict[str, Any]) -> int:
    """Insert a row of `to_row` in the transaction of a connection; gives its number in the log.

    SQLite's driver is asked directly: every answer waits for this, and SQLAlchemy takes twice as long to ask
    as SQLite to insert.
    """
    if connection.dialect.name != "sqlite":
        return int(connection.execute(_INSERT, row).scalar_one())
    driver = cast("sqlite3.Connection", connection.connection.driver_connection)
    return cast("int", driver.execute(_SQLITE_INSERT, row).lastrowid)


def to_entry(row: Row[Any], log_name: str) -> LogEntry:
    """The answer in a row of `predictions`, with its image where the row was joined with it.

    Raises:
        LogError: the row is not one that Taxon wrote.
    """
    stored = row._mapping
    try:
        return LogEntry(
            prediction_id=stored["prediction_id"],
            time=to_time(stored["time_us"]),
            client=stored["client"],
            file_name=stored["file_name"],
            latency_ms=stored["latency_ms"],
            model_name=stored["model_name"],
            model_version=stored["model_version"],
            model_digest=stored["model_digest"],
            group=stored["group_name"],
            decision=Decision(stored["decision"]),
            class_name=stored["class_name"],
            confidence=stored["confidence"],
            unknown_score=stored["unknown_score"],
            p_value=stored["p_value"],
            logits=_to_array(stored["logits"], LOGIT_TYPE, stored["num_logits"]),
            embedding=_to_array(stored["embedding"], EMBEDDING_TYPE, stored["embedding_width"]),
            quality=_to_array(stored["quality"], QUALITY_TYPE, stored["quality_width"]),
            image=stored.get("image"),
            number=stored["number"],
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


def _to_array(stored: bytes, dtype: np.dtype[Any], width: int) -> FloatArray:
    array: FloatArray = np.frombuffer(stored, dtype)
    if len(array) != width:
        raise ValueError(f"An array holds {len(array)} numbers; expected its stated width {width}.")
    return array

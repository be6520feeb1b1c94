"""One answer of the prediction log, and its exact conversion to a row of the database and back.

What a client sends (file name, group) is bounded here, before it gets near the database. Arrays are brought
into the form in which they are stored, so that an entry that is read back equals the one that was appended,
bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PureWindowsPath
from typing import Any

import numpy as np
from sqlalchemy import Row

from vision.base.errors import DataError, LogError
from vision.base.record import FloatArray
from vision.decision.records import Decision, UnknownKind

MAX_CHARACTERS = 255
"""Longest text that is stored in a column."""

ARRAY_TYPES: dict[str, np.dtype[Any]] = {
    "logits": np.dtype("<f4"),
    "embedding": np.dtype("<f2"),
    "quality": np.dtype("<f4"),
}
"""Of the arrays, as they are stored."""

NUMBERS = ("latency_ms", "confidence", "unknown_score", "p_value")
TEXTS = ("prediction_id", "client", "model_name", "model_version", "model_digest", "class_name")

_SAME = (*TEXTS, *NUMBERS, "file_name")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_WIDTHS = {"logits": "num_logits", "embedding": "embedding_width", "quality": "quality_width"}


@dataclass(frozen=True, eq=False)
class LogEntry:
    """One answer of the service.

    Attributes:
        prediction_id: names the answer; the client has it too.
        time: when it was answered; any zone is accepted and becomes UTC.
        client: name of the API key, never the key.
        file_name: as the client named the file, brought into the form of `clean_file_name`.
        latency_ms: milliseconds from request to answer.
        model_name: name in the registry, with
        model_version: the version, and
        model_digest: digest of the bundle that answered.
        group: individual, camera or visit as the client gave it; None where it gave none.
        decision: accept, review or unknown.
        class_name: most probable class.
        confidence: its calibrated probability.
        unknown_score: higher is more unknown.
        p_value: share of calibration images at least this unknown.
        logits: (k,) kept as float32, not divided by the temperature.
        embedding: (d,) kept as float16; what float16 cannot hold becomes its largest value, 65504.
        quality: (q,) kept as float32, columns `vision.data.quality.QUALITY_COLUMNS`.
        image: the bytes that were sent; stored only by a log that keeps images.
        unknown_kind: of an unknown answer, stranger or look_alike; None of others and of old answers.
        number: place in the log, given by it: a later answer has a higher one; 0 until it is logged.

    Raises:
        ValueError: a naive time, an array that is not one-dimensional, a number that is not finite, a text
            that is empty, too long or not storable.
        DataError: a group that `check_group` refuses.
    """

    prediction_id: str
    time: datetime
    client: str
    file_name: str
    latency_ms: float
    model_name: str
    model_version: str
    model_digest: str
    group: str | None
    decision: Decision
    class_name: str
    confidence: float
    unknown_score: float
    p_value: float
    logits: FloatArray
    embedding: FloatArray
    quality: FloatArray
    image: bytes | None = None
    unknown_kind: UnknownKind | None = None
    number: int = 0

    def __post_init__(self) -> None:
        for name in TEXTS:
            check_text(name, getattr(self, name))
        stored = {
            "time": to_utc(self.time),
            "file_name": clean_file_name(self.file_name),
            "group": check_group(self.group),
            "decision": Decision(self.decision),
            "unknown_kind": None if self.unknown_kind is None else UnknownKind(self.unknown_kind),
            **{name: _to_vector(name, getattr(self, name), dtype) for name, dtype in ARRAY_TYPES.items()},
            **{name: _check_finite(name, getattr(self, name)) for name in NUMBERS},
        }
        for name, value in stored.items():
            object.__setattr__(self, name, value)


# --- what a client may make us store --------------------------------------------------------------------


def clean_file_name(name: str) -> str:
    r"""The last part of a path, printable, at most 255 characters, its ending kept; never fails.

    Folders are dropped because they hold names of people and machines (`C:\Users\...`); what cannot be
    printed (line breaks, NUL, marks that turn the direction of writing) becomes `_`.
    """
    printable = "".join(each if each.isprintable() else "_" for each in name)
    last = PureWindowsPath(printable).name
    if len(last) <= MAX_CHARACTERS:
        return last
    suffix = PureWindowsPath(last).suffix[:16]
    return last[: MAX_CHARACTERS - len(suffix)] + suffix


def check_group(group: str | None) -> str | None:
    """The group without spaces around it; None where there is none.

    It is refused, not shortened, when it is too long: two groups that became one would pass for one
    individual.

    Raises:
        DataError: longer than 255 characters, or with characters that cannot be printed.
    """
    stripped = (group or "").strip()
    if len(stripped) > MAX_CHARACTERS or not stripped.isprintable():
        raise DataError(
            f"The group is {stripped[:40]!r} ({len(stripped)} characters); expected at most {MAX_CHARACTERS} "
            "printable characters, the same for all images of one individual, camera or visit."
        )
    return stripped or None


def namespace_group(client: str, group: str | None) -> str | None:
    """`client/group`: what two clients call by one name stays two groups; None stays None.

    A `/` in the client's name is written `%2F`, so that no two pairs give the same text.
    """
    if group is None:
        return None
    return f"{client.replace('%', '%25').replace('/', '%2F')}/{group}"


def to_utc(time: datetime) -> datetime:
    """The same moment in UTC.

    Raises:
        ValueError: a time without a zone.
    """
    if time.utcoffset() is None:
        raise ValueError(f"Time {time.isoformat()} has no zone; expected one, for example datetime.now(UTC).")
    return time.astimezone(UTC)


# --- rows of the database ----------------------------------------------------------------------------------


def to_row(entry: LogEntry) -> dict[str, Any]:
    """Columns of the table `predictions`, all but the number that the database gives."""
    row: dict[str, Any] = {name: getattr(entry, name) for name in _SAME}
    row |= {
        "time_us": to_microseconds(entry.time),
        "group_name": entry.group,
        "decision": entry.decision.value,
        "unknown_kind": None if entry.unknown_kind is None else entry.unknown_kind.value,
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
    fields: dict[str, Any] = {name: stored[name] for name in (*_SAME, "number", "decision", "unknown_kind")}
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


# --- forms ----------------------------------------------------------------------------------------------


def check_text(name: str, text: str) -> None:
    """Refuse a text that a column cannot hold.

    Raises:
        ValueError: empty, longer than 255 characters, not UTF-8, or with NUL.
    """
    storable = "\0" not in text and text.encode(errors="replace").decode() == text
    if not text or len(text) > MAX_CHARACTERS or not storable:
        raise ValueError(
            f"{name} is {text[:40]!r} ({len(text)} characters); expected 1 to {MAX_CHARACTERS} characters "
            "of UTF-8 text without NUL."
        )


def _check_finite(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value}; expected a finite number.")
    return float(value)


def _to_vector(name: str, values: FloatArray, dtype: np.dtype[Any]) -> FloatArray:
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} has shape {array.shape} and type {array.dtype}; expected numbers of shape (width,), the "
            "row of one image."
        )
    if array.dtype == dtype:
        return np.ascontiguousarray(array)
    with np.errstate(over="ignore"):
        stored = array.astype(dtype)
    beyond = np.isinf(stored) & np.isfinite(array)
    stored[beyond] = np.copysign(np.finfo(dtype).max, array[beyond])
    return stored

"""One answer of the prediction log, and what a client may make it keep (file name, group)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import PureWindowsPath
from typing import Any

from sqlalchemy import Select, null, select

from serving.log.schema import IMAGES, PREDICTIONS, WIDTHS
from vision.base.errors import DataError
from vision.base.record import FloatArray
from vision.decision.records import Decision, UnknownKind

MAX_CHARACTERS = 255
"""Longest text that a client may have stored."""


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
        logits: (k,) stored as float32, not divided by the temperature.
        embedding: (d,) stored as float16.
        quality: (q,) stored as float32, columns `vision.data.quality.QUALITY_COLUMNS`.
        image: the bytes that were sent; stored only by a log that keeps images.
        unknown_kind: of an unknown answer, stranger or look_alike; None of others and of old answers.
        number: place in the log, given by it: a later answer has a higher one; 0 until it is logged.

    Raises:
        ValueError: a naive time.
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
        object.__setattr__(self, "time", to_utc(self.time))
        object.__setattr__(self, "file_name", clean_file_name(self.file_name))
        object.__setattr__(self, "group", check_group(self.group))


_FIELDS = tuple(field.name for field in fields(LogEntry))


def select_entries(*, images: bool = False) -> Select[Any]:
    """A query of answers, with their images if asked for; `LogEntry(*row)` is the answer in a row."""
    columns = {**PREDICTIONS.c, "image": IMAGES.c.image if images else null()}
    query = select(*(columns[name] for name in _FIELDS)).select_from(PREDICTIONS)
    return query.outerjoin(IMAGES) if images else query


def to_row(entry: LogEntry) -> dict[str, Any]:
    """The row of `predictions`, but for its number, which the database gives."""
    row = {name: getattr(entry, name) for name in _FIELDS if name not in ("image", "number")}
    return row | {width: len(row[name]) for name, width in WIDTHS.items()}


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

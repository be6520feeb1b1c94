"""Tables in Markdown: for records that words tell better than pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from enum import Enum

from vision.records import Interval, Record


def scalar_table(record: Record) -> str:
    """A Markdown table of a record's scalar fields; collections are told by their size."""
    fields = ((name, getattr(record, name)) for name in type(record).model_fields)
    rows = [
        (name.replace("_", " "), format_value(value)) for name, value in fields if name != "schema_version"
    ]
    return f"### {type(record).__name__}\n\n" + markdown_table(("field", "value"), rows)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; vertical bars and line breaks in cells are escaped."""
    lines = [_line(header), _line(["---"] * len(header)), *(_line(row) for row in rows)]
    return "\n".join(lines) + "\n"


def format_value(value: object) -> str:
    """A value as a reader wants it: intervals with bounds, NaN as a dash, collections by their size."""
    if isinstance(value, Interval):
        return format_interval(value)
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.4g}"
    if isinstance(value, str | int):
        return str(value)
    if isinstance(value, tuple | list | dict):
        return f"{len(value)} entries"
    return str(value)


def format_interval(interval: Interval) -> str:
    """`0.953 (0.931 to 0.972)`; a dash where there was nothing to measure."""
    return "–" if math.isnan(interval.value) else str(interval)


def format_share(value: float) -> str:
    """`95.3%`; a dash for NaN."""
    return "–" if math.isnan(value) else f"{100 * value:.1f}%"


def _line(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", "\\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(escaped)} |"

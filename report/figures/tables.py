"""Tables in Markdown: for records that words tell better than pictures."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from enum import Enum

from vision.base.record import Interval, Record

NOTHING = "n/a"


def scalar_table(record: Record) -> str:
    """A Markdown table of a record's scalar fields; collections are told by their size."""
    names = (name for name in type(record).model_fields if name != "schema_version")
    rows = [(name.replace("_", " "), format_value(getattr(record, name))) for name in names]
    return f"### {type(record).__name__}\n\n" + markdown_table(("field", "value"), rows)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; what would break it or be read as HTML in a cell is escaped."""
    lines = [_line(header), _line(["---"] * len(header)), *(_line(row) for row in rows)]
    return "\n".join(lines) + "\n"


def format_value(value: object) -> str:
    """A value as a reader wants it: intervals with bounds, NaN as n/a, collections by their size."""
    match value:
        case Interval():
            return format_interval(value)
        case Enum():
            return str(value.value)
        case None | bool():
            return {True: "yes", False: "no", None: "none"}[value]
        case float():
            return NOTHING if math.isnan(value) else f"{value:.4g}"
        case tuple() | list() | dict():
            return f"{len(value)} entries"
    return str(value)


def format_interval(interval: Interval) -> str:
    """`0.953 (0.931 to 0.972)`; n/a for NaN, bare where too few groups give an interval."""
    if math.isnan(interval.value):
        return NOTHING
    return f"{interval.value:.3f}" if math.isnan(interval.low) else str(interval)


def format_share(value: float) -> str:
    """`95.3%`; n/a for NaN."""
    return NOTHING if math.isnan(value) else f"{100 * value:.1f}%"


def format_bytes(num_bytes: int) -> str:
    """`4.2 MB`, decimal units."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= size:
            return f"{num_bytes / size:.1f} {unit}"
    return f"{num_bytes} B"


def escape_html(text: str) -> str:
    """Text that a Markdown page shows as it is, and does not take for HTML: names come from outside."""
    return html.escape(text, quote=False)


def _line(cells: Sequence[str]) -> str:
    escaped = (escape_html(cell).replace("|", "\\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(escaped)} |"

"""Tables in Markdown: for records that words tell better than pictures."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from report.formatting import format_value
from vision.base.record import Record


def scalar_table(record: Record) -> str:
    """A Markdown table of a record's scalar fields; collections are told by their size."""
    names = (name for name in type(record).model_fields if name != "schema_version")
    rows = [(name.replace("_", " "), format_value(getattr(record, name))) for name in names]
    return f"### {type(record).__name__}\n\n" + markdown_table(("field", "value"), rows)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; what would break it or be read as HTML in a cell is escaped."""
    lines = [_line(header), _line(["---"] * len(header)), *(_line(row) for row in rows)]
    return "\n".join(lines) + "\n"


def escape_html(text: str) -> str:
    """Text that a Markdown page shows as it is, and does not take for HTML: names come from outside."""
    return html.escape(text, quote=False)


def _line(cells: Sequence[str]) -> str:
    escaped = (escape_html(cell).replace("|", "\\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(escaped)} |"

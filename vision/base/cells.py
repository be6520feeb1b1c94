"""Texts as cells of a CSV file: none that a spreadsheet would run as a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet runs."""


def write_rows(header: Iterable[str], rows: Iterable[Iterable[object]], end: str = "\n") -> str:
    """A header and rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator=end).writerows([header, *rows])
    return text.getvalue()


def as_cell(value: object) -> object:
    """The value; a text that a spreadsheet would run has an apostrophe before it, which marks it as text."""
    if isinstance(value, str) and value.startswith(FORMULA_SIGNS):
        return f"'{value}"
    return value


def as_path_cell(path: str) -> str:
    """The path; one that a spreadsheet would run has ./ before it, which names the same file."""
    return f"./{path}" if path.startswith(FORMULA_SIGNS) else path

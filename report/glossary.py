"""The project's words and what they mean, from docs/glossary.md, which the report carries along."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

GLOSSARY = Path(__file__).resolve().parent.parent / "docs" / "glossary.md"
_ROW = re.compile(r"^\| (?P<word>[^|]+) \| (?P<meaning>[^|]+) \|$", re.MULTILINE)


@cache
def read_glossary() -> tuple[tuple[str, str], ...]:
    """Word and meaning of each row, as plain text."""
    text = GLOSSARY.read_text(encoding="utf-8").replace("`", "")
    return tuple((found["word"], found["meaning"]) for found in _ROW.finditer(text))[1:]

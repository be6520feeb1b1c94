"""Templates of plain text: programs and Markdown."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2

from report.formatting import format_bytes, format_count, format_range, format_share

FOLDER = Path(__file__).parents[1] / "templates" / "take_away"


def render_text(template: str, **values: object) -> str:
    """A template as text; nothing is escaped."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "share": format_share,
        "range": format_range,
        "size": format_bytes,
        "count": format_count,
    }
    return environment

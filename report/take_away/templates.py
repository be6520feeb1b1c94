"""Templates of plain text: programs and Markdown."""

from __future__ import annotations

from functools import cache

import jinja2

from report.page import TEMPLATES, make_environment

FOLDER = TEMPLATES / "take_away"


def render_text(template: str, **values: object) -> str:
    """A template as text; nothing is escaped."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> jinja2.Environment:
    return make_environment(FOLDER, autoescape=False, keep_trailing_newline=True)

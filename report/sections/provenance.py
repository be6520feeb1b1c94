"""What the run was made of, and what its steps took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from report.glossary import read_glossary
from report.sections.section import Section
from report.story import RunStory


def _context(story: RunStory) -> dict[str, Any]:
    return {
        "seconds_rows": _list_seconds(story),
        "words": read_glossary(),
        "config_text": story.config.model_dump_json(indent=2),
    }


def _list_seconds(story: RunStory) -> list[tuple[str, float, float, bool]]:
    """For each step: seconds, share of the longest, whether its result was reused."""
    longest = max(story.step_seconds.values(), default=0.0) or 1.0
    rows: Sequence[tuple[str, float]] = list(story.step_seconds.items())
    return [(name, seconds, 100 * seconds / longest, name in story.cached_steps) for name, seconds in rows]


PROVENANCE = Section("provenance", "Provenance", "Provenance", context=_context)

"""What the run was made of, and what its steps took."""

from __future__ import annotations

from typing import Any

from report.glossary import read_glossary
from report.sections.section import Section
from report.story import RunStory


def _context(story: RunStory) -> dict[str, Any]:
    longest = max(story.step_seconds.values(), default=0.0) or 1.0
    return {
        "seconds_rows": [
            (name, seconds, 100 * seconds / longest, name in story.cached_steps)
            for name, seconds in story.step_seconds.items()
        ],
        "words": read_glossary(),
        "config_text": story.config.model_dump_json(indent=2),
    }


PROVENANCE = Section("provenance", "Provenance", context=_context)

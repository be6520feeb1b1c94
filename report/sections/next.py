"""What to do next."""

from __future__ import annotations

from typing import Any

from report.next_steps import derive_advice
from report.sections.section import Section
from report.story import RunStory


def _context(story: RunStory) -> dict[str, Any]:
    return {"advice": derive_advice(story)}


NEXT = Section("next", "What to do next", "What to do next", context=_context)

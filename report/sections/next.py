"""What to do next."""

from __future__ import annotations

from typing import Any

from report.next_steps import derive_advice
from report.sections.section import Section
from report.story import RunStory

IN_SIGHT = 4
"""Things to do that are shown before one unfolds the rest."""


def _context(story: RunStory) -> dict[str, Any]:
    return {"advice": derive_advice(story), "in_sight": IN_SIGHT}


NEXT = Section("next", "What to do next", context=_context, folded=False)

"""What several answers to one picture would gain over one: views of it, or all candidates."""

from __future__ import annotations

from typing import Any

from report.sections.section import Section
from report.sections.values import plain_interval
from report.story import RunStory
from report.unknown_rows import KIND_NAMES


def _context(story: RunStory) -> dict[str, Any]:
    rows = story.gains.rows if story.gains else ()
    return {"kinds": {kind: KIND_NAMES[kind] for row in rows for kind in row.unknown_gains}}


def _summary(story: RunStory) -> list[dict[str, Any]]:
    return [
        {
            "name": row.name,
            "passes": row.num_passes,
            "milliseconds": row.milliseconds,
            "accuracy_gain": plain_interval(row.accuracy_gain),
            "nll_gain": plain_interval(row.nll_gain),
            "unknown_gains": {kind: plain_interval(each) for kind, each in row.unknown_gains.items()},
            "pays": row.pays,
        }
        for row in (story.gains.rows[1:] if story.gains else ())
    ]


GAINS = Section(
    "gains",
    "Would more answers to one picture help?",
    ("gains",),
    context=_context,
    summary=lambda story: {"gains": _summary(story)},
)

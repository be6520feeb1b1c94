"""Which candidate was chosen, and why."""

from __future__ import annotations

from typing import Any

from report.pictures import Plot
from report.sections.section import Section
from report.story import RunStory

FEWEST_BARS = 2


def _plots(story: RunStory) -> dict[str, Plot]:
    comparison = story.comparison
    if comparison is None or len(comparison.candidates) < FEWEST_BARS:
        return {}
    plots = {"candidates": Plot("choice.draw_candidates", comparison)}
    if comparison.differences:
        plots["differences"] = Plot("choice.draw_differences", comparison.differences)
    return plots


def _summary(story: RunStory) -> dict[str, Any]:
    return {
        "left_out": [{"name": each.name, "reason": each.reason} for each in story.left_out],
        "winner": story.comparison.winner if story.comparison else None,
    }


CHOICE = Section("choice", "Which candidate, and why", ("comparison",), plots=_plots, summary=_summary)

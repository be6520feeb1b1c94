"""The checks before a model goes into production."""

from __future__ import annotations

from typing import Any

from report.pictures import Plot
from report.sections.section import Section
from report.story import RunStory


def _plots(story: RunStory) -> dict[str, Plot]:
    differences = story.promotion.differences if story.promotion else ()
    return {"gate_differences": Plot("choice.draw_differences", differences)} if differences else {}


def _summary(story: RunStory) -> dict[str, Any]:
    promotion = story.promotion
    if promotion is None:
        return {"gate": None}
    gate = {
        "verdict": promotion.verdict.value,
        "reason": promotion.reason,
        "reasons": list(promotion.reasons),
        "checks": [check.model_dump() for check in promotion.checks],
        "bundle_digest": promotion.bundle_digest,
        "champion_digest": promotion.champion_digest,
        "version": story.registration.version if story.registration else None,
    }
    return {"gate": gate}


GATE = Section("gate", "The gate", ("promotion",), plots=_plots, summary=_summary)

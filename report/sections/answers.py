"""What the model answers, and how its promises fare."""

from __future__ import annotations

from typing import Any

from report.headline import list_promises
from report.pictures import Plot
from report.promises import state_thresholds
from report.sections.section import Section
from report.story import RunStory
from vision.decision.records import DecisionRule


def _context(story: RunStory) -> dict[str, Any]:
    return {
        "promises": list_promises(story),
        "thresholds": state_thresholds(story.rule) if story.rule else "",
        "ladder": story.test.ladder if story.test else (),
        "chosen": story.rule.review.target_risk if story.rule else None,
    }


def _plots(story: RunStory) -> dict[str, Plot]:
    plots = {"rates": Plot("truth.draw_rates", story.test)}
    if story.test and story.rule and any(row.attainable for row in story.test.ladder):
        plots["ladder"] = Plot("truth.draw_ladder", (story.test, story.rule.review.target_risk))
    return plots


def _summary(story: RunStory) -> dict[str, Any]:
    return {"rule": _rule(story.rule) if story.rule else None}


def _rule(rule: DecisionRule) -> dict[str, Any]:
    """What decides, without the calibration scores, which the bundle holds."""
    return {
        "temperature": rule.temperature.model_dump(),
        "unknown": rule.unknown.model_dump(exclude={"calibration_scores"}),
        "review": rule.review.model_dump() | ({} if rule.review.attainable else {"value": None}),
    }


ANSWERS = Section("answers", "What it answers", "Answers", ("test",), _context, _plots, _summary)

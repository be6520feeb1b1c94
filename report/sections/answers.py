"""What the model answers, and how its promises fare."""

from __future__ import annotations

from typing import Any

import numpy as np

from report.pictures import Plot
from report.promises import list_promises, state_thresholds
from report.sections.section import Section
from report.story import RunStory
from vision.decision.records import AlphaRung
from vision.evaluation.records import RocCurve


def _context(story: RunStory) -> dict[str, Any]:
    return {
        "promises": list_promises(story),
        "thresholds": state_thresholds(story.rule) if story.rule else "",
        "ladder": story.test.ladder if story.test else (),
        "chosen": story.rule.review.target_risk if story.rule else None,
        "unknown_ladder": _climb_unknown(story),
        "alpha": story.rule.unknown.alpha if story.rule else None,
    }


def _climb_unknown(story: RunStory) -> list[tuple[AlphaRung, float | None]]:
    """Each promise about known images called unknown, and the share of look-alikes that it finds on test."""
    if story.rule is None:
        return []
    curves = [] if story.test is None else [each for each in story.test.roc if each.kind == "near"]
    curve = next((each for each in curves if each.score_name == story.rule.unknown.score_name), None)
    return [(rung, _find_at(curve, rung.share)) for rung in story.rule.unknown.ladder]


def _find_at(curve: RocCurve | None, lost: float) -> float | None:
    """Share of unknown images found where this share of known ones is lost; None without a curve."""
    if curve is None:
        return None
    return float(np.interp(lost, curve.false_positive_rate, curve.true_positive_rate))


def _plots(story: RunStory) -> dict[str, Plot]:
    plots = {"rates": Plot("truth.draw_rates", story.test)}
    if story.test and story.rule and any(row.attainable for row in story.test.ladder):
        plots["ladder"] = Plot("truth.draw_ladder", (story.test, story.rule.review.target_risk))
    return plots


def _summary(story: RunStory) -> dict[str, Any]:
    """What decides, without the calibration scores, which the bundle holds."""
    rule = story.rule
    if rule is None:
        return {"rule": None}
    told = {
        "temperature": rule.temperature.model_dump(),
        "unknown": rule.unknown.model_dump(exclude={"calibration_scores"}),
        "review": rule.review.model_dump() | ({} if rule.review.attainable else {"value": None}),
    }
    return {"rule": told}


ANSWERS = Section("answers", "What it answers", ("test",), _context, _plots, _summary, folded=False)

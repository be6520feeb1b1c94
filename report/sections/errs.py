"""Confusions and the worst mistakes."""

from __future__ import annotations

from typing import Any

from report.formatting import format_confidence, plain_name
from report.pictures import Plot
from report.sections.section import Section
from report.sections.tiles import ANSWERS, Picture
from report.story import RunStory
from report.thumbnails import embed_answer, embed_heat_map

MOST_MISTAKES = 12


def _context(story: RunStory) -> dict[str, Any]:
    return {"mistakes": _show_mistakes(story)}


def _plots(story: RunStory) -> dict[str, Plot]:
    return {"confusion": Plot("truth.draw_confusion", story.test)}


def _show_mistakes(story: RunStory) -> list[Picture]:
    mistakes = story.test.mistakes[:MOST_MISTAKES] if story.test else ()
    return [
        Picture(
            embed_answer(story, answer),
            f"{plain_name(answer.true_class)}, taken for {plain_name(answer.class_name)}",
            f"{format_confidence(answer.confidence)} sure, {ANSWERS[answer.decision]}",
            answer.decision.value,
            embed_heat_map(story, answer),
        )
        for answer in mistakes
    ]


ERRS = Section("errs", "Where it errs", "Where it errs", ("test",), _context, _plots)

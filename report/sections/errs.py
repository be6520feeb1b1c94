"""The worst mistakes, as pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from report.formatting import format_confidence
from report.photographs.featured import show_answer
from report.photographs.thumbnails import LARGE_SIDE, embed_heat_map
from report.sections.section import Section
from report.story import RunStory
from report.unknown_rows import ANSWERS
from vision.base.names import isolate

MOST_MISTAKES = 12
IN_SIGHT = 6
"""Mistakes that are shown before one unfolds the rest."""


def _context(story: RunStory) -> dict[str, Any]:
    mistakes = story.test.mistakes[:MOST_MISTAKES] if story.test else ()
    pictures = [
        replace(
            show_answer(story, answer, LARGE_SIDE),
            detail=f"taken for {isolate(answer.class_name)}: "
            f"{format_confidence(answer.confidence)} sure, {ANSWERS[answer.decision]}",
            heat_map=embed_heat_map(story, answer),
        )
        for answer in mistakes
    ]
    counts = np.array(story.test.confusion if story.test else ((0,),))
    return {"mistakes": pictures, "num_wrong": int(counts.sum() - counts.trace()), "in_sight": IN_SIGHT}


ERRS = Section("errs", "Where it errs", ("test",), _context, folded=False)

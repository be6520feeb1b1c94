"""What the model answers to images of nothing that it was taught."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from report.formatting import format_confidence
from report.photographs.featured import show_answer
from report.photographs.thumbnails import GALLERY_SIDE
from report.photographs.tiles import Gallery, Picture
from report.pictures import Plot
from report.sections.section import Section
from report.story import RunStory
from report.unknown_rows import ANSWERS, SINGULAR, UNDETECTABLE, far_rows, near_rows
from vision.data.records import POOLED
from vision.decision.records import Decision
from vision.evaluation.records import Answer, Evaluation

MOST_EXAMPLES = 12
KINDS = {
    "known": "Images of classes it knows",
    "near": "Look-alikes: images of classes it was never taught",
    "far": "Strangers: pictures of something else",
}


def _context(story: RunStory) -> dict[str, Any]:
    return {
        "unknown_rows": [*near_rows(story.test), *far_rows(story.test)] if story.test else [],
        "score_rows": _score_table(story.test) if story.test else [],
        "undetectable": UNDETECTABLE,
        "kinds": SINGULAR,
        "galleries": _show_answers(story),
    }


def _plots(story: RunStory) -> dict[str, Plot]:
    plots = {"rule": Plot("truth.draw_rule", story.rule)} if story.rule else {}
    if story.test is not None and story.test.unknown:
        plots["unknown_classes"] = Plot("unknowns.draw_unknown_classes", story.test)
        plots["unknown_roc"] = Plot("unknowns.draw_unknown_roc", story.test)
    return plots


def _score_table(test: Evaluation) -> list[tuple[str, dict[str, Any]]]:
    """Every score that was computed, with its pooled rows by kind."""
    names = list(dict.fromkeys(row.score_name for row in test.unknown))
    pooled = [row for row in test.unknown if row.class_name == POOLED]
    return [(name, {row.kind: row for row in pooled if row.score_name == name}) for name in names]


def _show_answers(story: RunStory) -> list[tuple[str, list[Gallery]]]:
    """For each kind of image a gallery of every answer that it was given."""
    if story.test is None:
        return []
    shown = []
    for kind, title in KINDS.items():
        galleries = []
        for decision, words in ANSWERS.items():
            answers = [each for each in story.test.examples if (each.kind, each.decision) == (kind, decision)]
            pictures = tuple(_show_answer(story, each) for each in answers[:MOST_EXAMPLES])
            if pictures:
                galleries.append(Gallery(words, decision.value, pictures))
        if galleries:
            shown.append((title, galleries))
    return shown


def _show_answer(story: RunStory, answer: Answer) -> Picture:
    picture = show_answer(story, answer, GALLERY_SIDE)
    if answer.decision is Decision.UNKNOWN:
        return picture
    return replace(picture, detail=f"{picture.detail}, {format_confidence(answer.confidence)}")


UNKNOWN = Section("unknown", "Look-alikes and strangers", ("test",), _context, _plots)

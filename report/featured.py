"""The six answered photographs of the first screen: right, sent to a person, wrong, look-alike, unknown.

They are chosen by what they are examples of, a wrong name before a right one where a kind has both, and are
no measure of how often that happens.
"""

from __future__ import annotations

from collections.abc import Iterator

from report.story import RunStory
from report.thumbnails import LARGE_SIDE, embed_answer, name_file
from report.tiles import Picture
from vision.base.names import isolate
from vision.decision.records import Decision
from vision.evaluation.records import Answer, Evaluation

MOST = 6
PHOTOGRAPHS = "photographs"
"""The kind of strangers that are no drawings; shown where there is no look-alike to show."""

KINDS = {"known": "", "near": " (never taught)", "far": " (a stranger)"}


def show_featured(story: RunStory) -> tuple[Picture, ...]:
    """Up to six photographs of test with what the model answers, those at hand alone."""
    if story.test is None:
        return ()
    shown = (show_answer(story, each, LARGE_SIDE) for each in choose_featured(story.test))
    return tuple(each for each in shown if each.source is not None)


def choose_featured(test: Evaluation) -> tuple[Answer, ...]:
    """Two right ones of different classes, one for a person, one wrong, a look-alike, an unknown."""
    accepted = [each for each in test.examples if _is_right(each) and each.decision is Decision.ACCEPT]
    by_class = list({each.true_class: each for each in reversed(accepted)}.values())[::-1]
    chosen: dict[tuple[str, int], Answer] = {}
    for pool in (by_class, by_class[1:], *_list_pools(test), accepted, test.examples):
        fresh = (each for each in pool if (each.kind, each.row) not in chosen)
        answer = next(fresh, None)
        if answer is not None and len(chosen) < MOST:
            chosen[answer.kind, answer.row] = answer
    return tuple(chosen.values())


def _list_pools(test: Evaluation) -> Iterator[list[Answer]]:
    """What one of the remaining places is filled from, the first choice first in each."""
    known = [each for each in test.examples if each.kind == "known"]
    wrong = [each for each in (*test.mistakes, *known) if not _is_right(each)]
    near = [each for each in test.examples if each.kind == "near"]
    unknown = [each for each in test.examples if each.decision is Decision.UNKNOWN and each.kind != "known"]
    yield [each for each in known if each.decision is Decision.REVIEW]
    yield sorted(wrong, key=lambda each: each.decision is not Decision.ACCEPT)
    yield sorted(near, key=lambda each: each.decision is not Decision.ACCEPT)
    yield sorted(unknown, key=lambda each: (each.kind != "near", each.true_class != PHOTOGRAPHS))


def show_answer(story: RunStory, answer: Answer, side: int) -> Picture:
    """A picture with what it shows and what the model says, in words."""
    said = isolate(answer.class_name)
    words = {
        Decision.ACCEPT: f"says {said}",
        Decision.REVIEW: f"asks a person: {said}?",
        Decision.UNKNOWN: "says unknown",
    }
    return Picture(
        embed_answer(story, answer, side),
        f"{isolate(answer.true_class)}{KINDS[answer.kind]}",
        words[answer.decision],
        judge_answer(answer),
        file=name_file(story, answer),
    )


def judge_answer(answer: Answer) -> str:
    """right, wrong or asks: whether the answer is what it should be, or left to a person."""
    if answer.decision is Decision.REVIEW:
        return "asks"
    return "right" if _is_right(answer) else "wrong"


def _is_right(answer: Answer) -> bool:
    if answer.decision is Decision.UNKNOWN:
        return answer.kind != "known"
    return answer.kind == "known" and answer.class_name == answer.true_class

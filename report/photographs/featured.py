"""The six answered photographs of the first screen: right, sent to a person, wrong, look-alike, unknown.

They are chosen by what they are examples of, a wrong name before a right one where a kind has both, and are
no measure of how often that happens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from report.photographs.thumbnails import LARGE_SIDE, embed_answer, name_file
from report.photographs.tiles import Picture
from report.story import RunStory
from vision.base.names import isolate
from vision.decision.records import Decision
from vision.evaluation.records import Answer, Evaluation

MOST, IN_ROW = 6, 3
PHOTOGRAPHS = "photographs"
"""The kind of strangers that are no drawings; shown where there is no look-alike to show."""

KINDS = {"known": "", "near": " (never taught)", "far": " (a stranger)"}


def show_featured(story: RunStory) -> tuple[Picture, ...]:
    """Six photographs of test with what the model answers, those at hand alone; of fewer, whole rows."""
    shown: list[Picture] = []
    for answer in choose_featured(story.test) if story.test is not None else ():
        picture = show_answer(story, answer, LARGE_SIDE)
        shown += [picture] if picture.source is not None else []
        if len(shown) == MOST:
            break
    whole = len(shown) - len(shown) % IN_ROW
    return tuple(shown[:whole] or shown)


def choose_featured(test: Evaluation) -> tuple[Answer, ...]:
    """Two right ones, one for a person, one wrong, a look-alike, an unknown, then all others in reserve.

    Each is of the class that was shown least so far.
    """
    places = [*_list_places(test), *([[test.examples]] * len(test.examples))]
    chosen: dict[tuple[str, int], Answer] = {}
    shown: Counter[str] = Counter()
    for tiers in places:
        fresh = ([each for each in tier if (each.kind, each.row) not in chosen] for tier in tiers)
        tier = next(filter(None, fresh), None)
        if tier is not None:
            answer = min(tier, key=lambda each: shown[each.true_class])
            chosen[answer.kind, answer.row] = answer
            shown[answer.true_class] += 1
    return tuple(chosen.values())


def _list_places(test: Evaluation) -> Iterator[Sequence[Sequence[Answer]]]:
    """What each place is filled from: from the first of its tiers that has a picture left."""
    known = [each for each in test.examples if each.kind == "known"]
    right = [each for each in known if _is_right(each) and each.decision is Decision.ACCEPT]
    wrong = [each for each in (*test.mistakes, *known) if not _is_right(each)]
    near = [each for each in test.examples if each.kind == "near"]
    unknown = [each for each in test.examples if each.decision is Decision.UNKNOWN and each.kind != "known"]
    yield [right]
    yield [right]
    yield [[each for each in known if each.decision is Decision.REVIEW]]
    yield [[each for each in wrong if each.decision is Decision.ACCEPT], wrong]
    yield [[each for each in near if each.decision is Decision.ACCEPT], near]
    yield [
        [each for each in unknown if each.kind == "near"],
        [each for each in unknown if each.true_class == PHOTOGRAPHS],
        unknown,
    ]
    yield [right]


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

"""What a batch came to, in the words of the terminal and of the contact sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.cells import cell_len

from vision.base.wording import count_of, join_words, noun_for, shorten
from vision.bundle.weak import tell_weak_classes
from vision.data.records import HELD_OUT, Split
from vision.decision.records import Prediction
from vision.prediction.records import SEEN_GROUP, Answer, BatchSummary, Row

COUNTED = ("decided alone", "suggested")
"""What is counted of each class."""
MOST_CLASSES, LONGEST_NAME = 30, 40
"""Classes that a terminal lists, and signs of their names."""

MOST_WEAK = 12
"""Classes that are told to be mostly missed on test."""


def write_headline(summary: BatchSummary) -> str:
    """How many pictures got which answer, as in `9 pictures: 6 decided alone, 2 for a person, 1 unknown`."""
    unknown = summary.count(Answer.LOOK_ALIKE, Answer.STRANGER)
    told = [
        f"{summary.count(Answer.ACCEPT):,} decided alone",
        f"{summary.count(Answer.REVIEW):,} for a person",
        f"{unknown:,} unknown",
    ]
    if summary.count(Answer.UNREADABLE):
        told.append(f"{summary.count(Answer.UNREADABLE):,} not readable")
    noun = "picture" if summary.num_files == 1 else "pictures"
    return f"{summary.num_files:,} {noun}: {', '.join(told)}."


def write_advice(summary: BatchSummary) -> str:
    """Where to look first, and what may be trusted, in a sentence or two."""
    doubtful = summary.count(Answer.REVIEW)
    told = [f"Look first at the {doubtful:,} that wait for a person." if doubtful else ""]
    if summary.count(Answer.ACCEPT) and summary.target_risk is not None:
        told.append(
            f"Of those decided alone, at most {100 * summary.target_risk:.3g} in 100 are wrong, as long as "
            "the pictures are like those it was tried on."
        )
    return " ".join(filter(None, told)) or "The model decided nothing of this alone."


def tell_seen(summary: BatchSummary) -> str:
    """How many of the pictures the model was made from, byte for byte, and what that means; may be empty."""
    learnt = {each: summary.seen[each] for each in Split if each in summary.seen and each is not Split.TEST}
    total, tested = sum(learnt.values()), summary.seen.get(Split.TEST, 0) + summary.seen.get(HELD_OUT, 0)
    these, were = count_of(summary.num_files, "picture"), "was" if total == 1 else "were"
    told = []
    if total:
        parts = join_words([f"{number:,} {each}" for each, number in learnt.items()])
        told.append(
            f"{total:,} of these {these} {were} in its training ({parts}): the answers to them say little "
            "about new pictures."
        )
    if tested:
        verb = "was" if tested == 1 else "were"
        told.append(f"{tested:,} of these {these} {verb} set aside to measure it, and taught it nothing.")
    if kin := summary.seen.get(SEEN_GROUP, 0):
        told.append(
            f"Other pictures of the same individual, visit or clip as {kin:,} of these {these} were in its "
            "training, by their names: what is new may be answered worse."
        )
    return " ".join(told)


def tell_weak(summary: BatchSummary) -> str:
    """Which classes that are named here were mostly missed on test, of many some; empty where none was."""
    named = Counter(summary.accepted_classes) + Counter(summary.suggested_classes)
    weak = [each for each in summary.weak_classes if named[each.class_name]]
    if len(weak) <= MOST_WEAK:
        return tell_weak_classes(weak)
    weak.sort(key=lambda each: -named[each.class_name])
    more = count_of(len(weak) - MOST_WEAK, "more class")
    return f"{tell_weak_classes(weak[:MOST_WEAK])} Nor on {more} that are named here: its report lists them."


def name_answer(answer: Answer, prediction: Prediction) -> tuple[str, str]:
    """The answer in a few words, and what else it could be."""
    sure = f"{prediction.class_name} {_percent(prediction.confidence)}"
    if answer is Answer.STRANGER:
        return "something else", ""
    if answer is Answer.LOOK_ALIKE:
        return "unknown", f"nearest: {prediction.class_name}"
    second = prediction.top_k[1:2]
    return sure, "".join(f"or {name} {_percent(each)}" for name, each in second if each >= 0.005)


def _percent(share: float) -> str:
    return f"{min(100 * share, 99.9):.0f}%" if share < 0.995 else "over 99%"


def tell_row(row: Row) -> str:
    """One answer as a terminal prints it."""
    if row.prediction is None:
        return f"{row.path}: cannot be read, {row.fault}"
    words = {Answer.ACCEPT: "", Answer.REVIEW: "a person decides: ", Answer.STRANGER: "unknown: "}
    name, other = name_answer(row.answer, row.prediction)
    return f"{row.path}: {words.get(row.answer, '')}{name}{f', {other}' if other else ''}"


def list_classes(summary: BatchSummary) -> list[tuple[str, int, int]]:
    """Class, pictures of it that are decided alone, pictures for which it is suggested; most first."""
    alone, asked = summary.accepted_classes, summary.suggested_classes
    rows = [(name, alone.get(name, 0), asked.get(name, 0)) for name in {**alone, **asked}]
    return sorted(rows, key=lambda row: (-row[1] - row[2], row[0]))


def _draw_classes(rows: Sequence[tuple[str, int, int]]) -> list[str]:
    """The counts by class as the lines of a table, between empty lines; nothing of no class."""
    if not rows:
        return []
    more = f" and {len(rows) - MOST_CLASSES} more in predictions.csv"
    told = [
        ("", *COUNTED),
        *((shorten(name, LONGEST_NAME), f"{alone:,}", f"{asked:,}") for name, alone, asked in rows),
    ][: MOST_CLASSES + 1]
    wide = max(cell_len(name) for name, _, _ in told)
    lines = [
        f"  {name}{' ' * (wide - cell_len(name))}  {alone:>{len(COUNTED[0])}}  {asked:>{len(COUNTED[1])}}"
        for name, alone, asked in told
    ]
    return ["", *lines, *([f" {more}"] if len(rows) > MOST_CLASSES else []), ""]


def tell_counts(summary: BatchSummary) -> list[str]:
    """What a terminal prints at the end, a line each."""
    lines = [write_headline(summary), *filter(None, [summary.misfit])]
    kinds = {
        Answer.LOOK_ALIKE: "like what it was taught, yet none of its classes",
        Answer.STRANGER: f"{noun_for(summary.count(Answer.STRANGER), 'picture')} of something else",
    }
    unknown = [f"{summary.count(answer):,} {text}" for answer, text in kinds.items() if summary.count(answer)]
    if unknown:
        lines.append(f"Unknown: {join_words(unknown)}.")
    lines += [*_draw_classes(list_classes(summary)), *filter(None, [tell_weak(summary)])]
    if summary.seen:
        lines.append(tell_seen(summary))
    if summary.others:
        others = ", ".join(f"{number} {ending}" for ending, number in sorted(summary.others.items()))
        lines.append(f"Beside the pictures, not looked at: {others}.")
    if summary.num_reused:
        lines.append(
            f"{count_of(summary.num_reused, 'answer')} of an earlier, stopped attempt went into this."
        )
    return lines if lines[-1] else lines[:-1]

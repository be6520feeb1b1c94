"""The contact sheet of a batch: its answers with their pictures, the doubtful first, in one HTML file."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rich.cells import cell_len

from report.formatting import plain_name, shorten
from report.page import render_page
from report.photographs.thumbnails import as_data_uri
from vision.base.errors import ImageError
from vision.base.files import write_atomically
from vision.base.wording import count_of, join_words, noun_for
from vision.bundle.neighbours import NEIGHBOURS_NAME, Neighbours, read_neighbours
from vision.bundle.records import SimilarImage
from vision.data.records import HELD_OUT, Split
from vision.data.thumbnails import make_thumbnail
from vision.decision.records import Prediction
from vision.evaluation.weak import tell_weak_classes
from vision.prediction.batch import Batch, Progress, Rows, finish_batch, run_batch
from vision.prediction.engines import Listen
from vision.prediction.items import Item
from vision.prediction.records import SEEN_GROUP, Answer, BatchSummary, Row, list_sources

PAGE_NAME = "predictions.html"
MOST_TILES = {Answer.REVIEW: 72, Answer.LOOK_ALIKE: 48, Answer.STRANGER: 48}
MOST_UNREADABLE = 200
MOST_ACCEPTED, LEAST_OF_CLASS, MOST_OF_CLASS = 144, 6, 24
MOST_SHOWN = 600
"""Accepted pictures at LEAST_OF_CLASS each; of more classes, those with most pictures are shown."""
MOST_BYTES = 15_000_000
"""Of thumbnails; of those that would come after it none is shown, and the page says how many."""
SIDE = 240
"""Pixels of a thumbnail's longer side, twice what is shown."""

COUNTED = ("decided alone", "suggested")
"""What is counted of each class."""
MOST_CLASSES, LONGEST_NAME = 30, 40
"""Classes that a terminal lists, and signs of their names."""

MOST_WEAK = 12
"""Classes that are told to be mostly missed on test."""

_THREADS = 4
_DRAWN_AT_ONCE = 32
_SIMILAR_BYTES = 6_000
_CLASS = "class "
_UNKNOWN = (Answer.LOOK_ALIKE, Answer.STRANGER)

Asked = tuple[Item, Row]
"""A file, and its answer."""

_TITLES = {
    Answer.REVIEW: ("For a person to decide", "The model has a suggestion and is not sure enough of it."),
    Answer.LOOK_ALIKE: (
        "Unknown: like what it was taught, yet none of its classes",
        "The name below is only the nearest class.",
    ),
    Answer.STRANGER: (
        "Unknown: pictures of something else",
        "They are not of the kind that it was taught.",
    ),
}


@dataclass(frozen=True)
class Tile:
    """One picture of the sheet.

    Attributes:
        source: data URI of the thumbnail; None where the picture is not at hand any more.
        link: the file itself, where it lies on the disk.
        title: the answer in a few words.
        detail: what else it could be.
        name: of the file.
        heat_map: link to the overlay, or nothing.
        similar: known images that are most like it; none of a stranger.
    """

    source: str | None
    link: str
    title: str
    detail: str
    name: str
    heat_map: str
    similar: tuple[SimilarImage, ...] = ()


@dataclass(frozen=True)
class Group:
    """Pictures with one answer: of a section, or of one class in it."""

    id: str
    title: str
    text: str
    num_rows: int
    tiles: tuple[Tile, ...]

    @property
    def num_more(self) -> int:
        """Rows that are not shown."""
        return self.num_rows - len(self.tiles)


def write_predictions(
    batch: Batch, folder: Path, progress: Progress, listen: Listen = lambda _: None
) -> tuple[BatchSummary, Rows]:
    """Answer a batch into `folder`: its tables, its summary and its contact sheet; else as `run_batch`."""
    summary, rows = run_batch(batch, folder, progress, listen)
    known = batch.model.root / NEIGHBOURS_NAME
    neighbours = read_neighbours(known) if batch.wanted.similar else None
    asked = zip(batch.listing.items, rows, strict=True)
    write_atomically(folder / PAGE_NAME, render_sheet(summary, asked, neighbours))
    finish_batch(folder)
    return summary, rows


def render_sheet(summary: BatchSummary, asked: Iterable[Asked], neighbours: Neighbours | None = None) -> str:
    """The contact sheet as one HTML page, below 20 MB whatever was asked.

    Args:
        summary: of the rows.
        asked: every file, of which a thumbnail may be made, with its row.
        neighbours: known images, of which the similar ones of each row are shown.
    """
    classes = _list_shown_classes(summary)
    chosen, unreadable = _choose(summary, classes, asked)
    thumbnails = _draw_all([each for shown in chosen.values() for each in shown])
    groups = {key: _make_group(key, shown, summary, thumbnails) for key, shown in chosen.items()}
    return render_page(
        "predictions.html.j2",
        summary=summary,
        sources=list_sources(summary.sources),
        headline=write_headline(summary),
        advice=write_advice(summary),
        seen=tell_seen(summary),
        weak=tell_weak(summary),
        tiles=_list_counts(summary),
        counted=COUNTED,
        class_counts=list_classes(summary),
        most_classes=MOST_CLASSES,
        groups=[groups[each] for each in MOST_TILES if each in groups],
        classes=[groups[_CLASS + each] for each in classes],
        not_shown=_tell_not_shown(summary, classes),
        num_accepted=summary.count(Answer.ACCEPT),
        unreadable=unreadable,
        num_unreadable=summary.count(Answer.UNREADABLE),
        others=", ".join(f"{number} {ending}" for ending, number in sorted(summary.others.items())),
        known={} if neighbours is None else _draw_known(neighbours, groups.values()),
    )


def _draw_known(neighbours: Neighbours, groups: Iterable[Group]) -> dict[str, tuple[int, str]]:
    """Path of each known image that is shown -> its number on the page, and its picture as a data URI."""
    shown = {each.path for group in groups for tile in group.tiles for each in tile.similar}
    pictures = zip(neighbours.paths, neighbours.pictures, strict=True)
    return {
        path: (number, as_data_uri("image/jpeg", picture))
        for number, (path, picture) in enumerate(pictures)
        if path in shown
    }


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


def _list_counts(summary: BatchSummary) -> list[tuple[str, str, str]]:
    """Number, what it counts, and where on the page it is."""
    kinds = [
        f"{summary.count(answer):,} {word}"
        for answer, word in ((Answer.LOOK_ALIKE, "like its classes"), (Answer.STRANGER, "something else"))
        if summary.count(answer)
    ]
    unknown = summary.count(Answer.LOOK_ALIKE, Answer.STRANGER)
    first = Answer.LOOK_ALIKE if summary.count(Answer.LOOK_ALIKE) else Answer.STRANGER
    tiles = [
        (f"{summary.count(Answer.REVIEW):,}", "for a person", Answer.REVIEW.value),
        (f"{unknown:,}", f"unknown{': ' if kinds else ''}{join_words(kinds)}", first.value),
        (f"{summary.count(Answer.ACCEPT):,}", "decided alone", Answer.ACCEPT.value),
    ]
    if summary.count(Answer.UNREADABLE):
        told = f"{summary.count(Answer.UNREADABLE):,}", "could not be read", Answer.UNREADABLE.value
        tiles.append(told)
    return tiles


def _list_shown_classes(summary: BatchSummary) -> list[str]:
    """Classes whose accepted pictures are shown, by name: all, or of very many those with most pictures."""
    counts = summary.accepted_classes
    by_count = sorted(counts, key=lambda name: (-counts[name], name))
    return sorted(by_count[: MOST_SHOWN // LEAST_OF_CLASS])


def _tell_not_shown(summary: BatchSummary, classes: Sequence[str]) -> str:
    """How many classes and pictures of them are not shown; empty where all classes are."""
    counts = summary.accepted_classes
    if len(classes) == len(counts):
        return ""
    shown = {*classes}
    number = sum(count for name, count in counts.items() if name not in shown)
    return (
        f"Of {len(counts):,} classes the {len(classes):,} with most pictures are shown; "
        f"{count_of(number, 'picture')} of the others:"
    )


class _Shortlist:
    """The most doubtful of many files, of which no more than a few are held."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: list[tuple[float, int, Asked]] = []

    def offer(self, doubt: float, place: int, asked: Asked) -> None:
        """Take a file; where they are too many, drop that of the highest value, of equal ones the last."""
        take = heapq.heappush if len(self._kept) < self._most else heapq.heappushpop
        take(self._kept, (-doubt, -place, asked))

    def sorted(self) -> list[Asked]:
        """The lowest first."""
        return [asked for _, _, asked in sorted(self._kept, key=lambda each: (-each[0], -each[1]))]


def _choose(
    summary: BatchSummary, classes: Sequence[str], asked: Iterable[Asked]
) -> tuple[dict[str, list[Asked]], list[Row]]:
    """Section or class -> the files that are shown, the doubtful first; and unreadable ones.

    Known-looking ones by confidence, unknown ones by how little they are above the threshold.
    """
    of_class = MOST_ACCEPTED // max(1, len(classes))
    of_class = min(MOST_OF_CLASS, max(LEAST_OF_CLASS, of_class))
    chosen = {str(answer): _Shortlist(most) for answer, most in MOST_TILES.items() if summary.count(answer)}
    chosen |= {_CLASS + name: _Shortlist(of_class) for name in classes}
    unreadable: list[Row] = []
    for place, (item, row) in enumerate(asked):
        given, answer = row.prediction, row.answer
        if given is None:
            if len(unreadable) < MOST_UNREADABLE:
                unreadable.append(row)
            continue
        found = chosen.get(_CLASS + given.class_name if answer is Answer.ACCEPT else str(answer))
        if found is not None:
            doubt = given.unknown_score if answer in _UNKNOWN else given.confidence
            found.offer(doubt, place, (item, row))
    return {key: found.sorted() for key, found in chosen.items()}, unreadable


def _make_group(
    key: str, shown: Sequence[Asked], summary: BatchSummary, drawn: Mapping[str, str | None]
) -> Group:
    if key in tuple(MOST_TILES):
        (title, text), total = _TITLES[Answer(key)], summary.count(Answer(key))
    else:
        name = key.removeprefix(_CLASS)
        title, text, total = plain_name(name), "", summary.accepted_classes[name]
    tiles = tuple(_make_tile(item, row, drawn[row.path]) for item, row in shown if row.path in drawn)
    return Group(key, title, text, total, tiles)


def _make_tile(item: Item, row: Row, source: str | None) -> Tile:
    title, detail = _name_answer(row.answer, row.prediction) if row.prediction else ("", "")
    return Tile(
        source=source,
        link=item.file.absolute().as_uri() if item.file else "",
        title=title,
        detail=detail,
        name=PurePosixPath(row.path).name,
        heat_map=row.heat_map,
        similar=() if row.answer is Answer.STRANGER else row.similar,
    )


def _name_answer(answer: Answer, prediction: Prediction) -> tuple[str, str]:
    sure = f"{plain_name(prediction.class_name)} {_percent(prediction.confidence)}"
    if answer is Answer.STRANGER:
        return "something else", ""
    if answer is Answer.LOOK_ALIKE:
        return "unknown", f"nearest: {plain_name(prediction.class_name)}"
    second = prediction.top_k[1:2]
    return sure, "".join(f"or {plain_name(name)} {_percent(each)}" for name, each in second if each >= 0.005)


def _percent(share: float) -> str:
    return f"{min(100 * share, 99.9):.0f}%" if share < 0.995 else "over 99%"


def _draw_all(shown: Sequence[Asked]) -> dict[str, str | None]:
    """Path -> thumbnail, None where it cannot be read any more; of as many files as a page takes."""
    drawn: dict[str, str | None] = {}
    num_bytes = 0
    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(shown), _DRAWN_AT_ONCE):
            some = shown[start : start + _DRAWN_AT_ONCE]
            for (_, row), source in zip(some, pool.map(_draw, (item for item, _ in some)), strict=True):
                drawn[row.path] = source
                num_bytes += len(source or "") + _SIMILAR_BYTES * len(row.similar)
            if num_bytes > MOST_BYTES:
                break
    return drawn


def _draw(item: Item) -> str | None:
    """The whole picture as a small JPEG in a data URI."""
    try:
        return as_data_uri("image/jpeg", make_thumbnail(item.read(), SIDE))
    except (ImageError, OSError):
        return None


def tell_row(row: Row) -> str:
    """One answer as a terminal prints it."""
    if row.prediction is None:
        return f"{row.path}: cannot be read, {row.fault}"
    words = {Answer.ACCEPT: "", Answer.REVIEW: "a person decides: ", Answer.STRANGER: "unknown: "}
    name, other = _name_answer(row.answer, row.prediction)
    return f"{row.path}: {words.get(row.answer, '')}{name}{f', {other}' if other else ''}"


def list_classes(summary: BatchSummary) -> list[tuple[str, int, int]]:
    """Class, pictures of it that are decided alone, pictures for which it is suggested; most first."""
    alone, asked = summary.accepted_classes, summary.suggested_classes
    rows = [(plain_name(name), alone.get(name, 0), asked.get(name, 0)) for name in {**alone, **asked}]
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

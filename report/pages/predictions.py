"""The contact sheet of a batch: its answers with their pictures, the doubtful first, in one HTML file."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from report.page import render_page
from report.pages.prediction_words import (
    COUNTED,
    MOST_CLASSES,
    list_classes,
    name_answer,
    tell_seen,
    tell_weak,
    write_advice,
    write_headline,
)
from report.photographs.thumbnails import as_data_uri
from vision.base.errors import ImageError
from vision.base.files import write_atomically
from vision.base.wording import count_of, join_words
from vision.bundle.neighbours import Neighbours, read_neighbours
from vision.bundle.records import SimilarImage
from vision.data.thumbnails import make_thumbnail
from vision.prediction.batch import AnsweredRows, Batch, Progress, finish_batch, run_batch
from vision.prediction.engines import Listen
from vision.prediction.items import Item
from vision.prediction.records import Answer, BatchSummary, Row, list_sources

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
) -> tuple[BatchSummary, AnsweredRows]:
    """Answer a batch into `folder`: its tables, its summary and its contact sheet; else as `run_batch`."""
    summary, rows = run_batch(batch, folder, progress, listen)
    neighbours = read_neighbours(batch.model.root) if batch.wanted.similar else None
    asked = zip(batch.listing.items, rows, strict=True)
    write_atomically(folder / PAGE_NAME, render_sheet(summary, asked, neighbours))
    finish_batch(folder)
    return summary, rows


def render_sheet(summary: BatchSummary, asked: Iterable[Asked], neighbours: Neighbours | None = None) -> str:
    """The contact sheet as one HTML page, below 20 MB whatever was asked."""
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
        title, text, total = name, "", summary.accepted_classes[name]
    tiles = tuple(_make_tile(item, row, drawn[row.path]) for item, row in shown if row.path in drawn)
    return Group(key, title, text, total, tiles)


def _make_tile(item: Item, row: Row, source: str | None) -> Tile:
    title, detail = name_answer(row.answer, row.prediction) if row.prediction else ("", "")
    return Tile(
        source=source,
        link=item.file.absolute().as_uri() if item.file else "",
        title=title,
        detail=detail,
        name=row.path,
        heat_map=row.heat_map,
        similar=() if row.answer is Answer.STRANGER else row.similar,
    )


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

"""The contact sheet of a batch: its answers with their pictures, the doubtful first, in one HTML file."""

from __future__ import annotations

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
from vision.prediction.batch import Batch, Progress, finish_batch, run_batch
from vision.prediction.engines import Listen
from vision.prediction.items import Item
from vision.prediction.records import SEEN_GROUP, Answer, BatchSummary, Row, list_sources

PAGE_NAME = "predictions.html"
MOST_TILES = {Answer.REVIEW: 72, Answer.LOOK_ALIKE: 48, Answer.STRANGER: 48}
MOST_UNREADABLE = 200
MOST_ACCEPTED, LEAST_OF_CLASS, MOST_OF_CLASS = 144, 6, 24
SIDE = 240
"""Pixels of a thumbnail's longer side, twice what is shown."""

COUNTED = ("decided alone", "suggested")
"""What is counted of each class."""
MOST_CLASSES, LONGEST_NAME = 30, 40
"""Classes that a terminal lists, and signs of their names."""

_THREADS = 4

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
) -> tuple[BatchSummary, list[Row]]:
    """Answer a batch into `folder`: its tables, its summary and its contact sheet; else as `run_batch`."""
    summary, rows = run_batch(batch, folder, progress, listen)
    items = {each.path: each for each in batch.listing.items}
    known = batch.model.root / NEIGHBOURS_NAME
    neighbours = read_neighbours(known) if batch.wanted.similar else None
    write_atomically(folder / PAGE_NAME, render_sheet(summary, rows, items, neighbours))
    finish_batch(folder)
    return summary, rows


def render_sheet(
    summary: BatchSummary,
    rows: Sequence[Row],
    items: Mapping[str, Item],
    neighbours: Neighbours | None = None,
) -> str:
    """The contact sheet as one HTML page.

    Args:
        summary: of the rows.
        rows: all of them.
        items: path -> the file, of which thumbnails are made.
        neighbours: known images, of which the similar ones of each row are shown.
    """
    chosen = _choose(summary, rows)
    thumbnails = _draw_all([items[row.path] for shown, _ in chosen.values() for row in shown])
    groups = {
        key: _make_group(key, shown, total, items, thumbnails) for key, (shown, total) in chosen.items()
    }
    unreadable = [row for row in rows if row.answer is Answer.UNREADABLE]
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
        groups=[groups[each] for each in MOST_TILES if each in groups],
        classes=[groups[f"class {each}"] for each in summary.accepted_classes],
        num_accepted=summary.count(Answer.ACCEPT),
        unreadable=unreadable[:MOST_UNREADABLE],
        num_unreadable=len(unreadable),
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
    """Which classes that are named here were mostly missed on test; empty where none was."""
    named = {*summary.accepted_classes, *summary.suggested_classes}
    return tell_weak_classes([each for each in summary.weak_classes if each.class_name in named])


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


def _choose(summary: BatchSummary, rows: Sequence[Row]) -> dict[str, tuple[list[Row], int]]:
    """Section or class -> the rows that are shown, the doubtful first, and how many there are."""
    of_class = MOST_ACCEPTED // max(1, len(summary.accepted_classes))
    of_class = min(MOST_OF_CLASS, max(LEAST_OF_CLASS, of_class))
    chosen = {}
    for answer, most in MOST_TILES.items():
        found = [(row.prediction, row) for row in rows if row.prediction and row.answer is answer]
        if found:
            chosen[str(answer)] = _most_doubtful(answer, found, most), len(found)
    for name in summary.accepted_classes:
        found = [
            (row.prediction, row)
            for row in rows
            if row.prediction and row.answer is Answer.ACCEPT and row.prediction.class_name == name
        ]
        chosen[f"class {name}"] = _most_doubtful(Answer.ACCEPT, found, of_class), len(found)
    return chosen


def _most_doubtful(answer: Answer, found: list[tuple[Prediction, Row]], most: int) -> list[Row]:
    """Known-looking ones by confidence, unknown ones by how little they are above the threshold."""
    if answer in (Answer.LOOK_ALIKE, Answer.STRANGER):
        found = sorted(found, key=lambda each: each[0].unknown_score)
    else:
        found = sorted(found, key=lambda each: each[0].confidence)
    return [row for _, row in found[:most]]


def _make_group(
    key: str, shown: Sequence[Row], total: int, items: Mapping[str, Item], drawn: Mapping[str, str]
) -> Group:
    if key in tuple(MOST_TILES):
        title, text = _TITLES[Answer(key)]
    else:
        title, text = plain_name(key.removeprefix("class ")), ""
    return Group(key, title, text, total, tuple(_make_tile(row, items[row.path], drawn) for row in shown))


def _make_tile(row: Row, item: Item, drawn: Mapping[str, str]) -> Tile:
    title, detail = _name_answer(row.answer, row.prediction) if row.prediction else ("", "")
    return Tile(
        source=drawn.get(row.path),
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


def _draw_all(items: Sequence[Item]) -> dict[str, str]:
    """Path -> thumbnail; without those that cannot be read any more."""
    with ThreadPoolExecutor(_THREADS) as pool:
        drawn = zip(items, pool.map(_draw, items), strict=True)
        return {item.path: source for item, source in drawn if source is not None}


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

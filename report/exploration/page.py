"""The exploration page: the images, what lies close together, classes by numbers, what to look at again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from report.exploration.issues import Issue, find_issues
from report.exploration.map import colour_classes, draw_map, place_images
from report.exploration.shapes import HEIGHT, WIDTH, show_shapes
from report.exploration.squares import WAYS, show_squares
from report.page import render_page
from report.photographs.thumbnails import GALLERY_SIDE, embed_image, embed_row, sample_rows
from report.pictures import PictureCache
from report.story import RunStory
from vision.base.cells import as_cell, as_path_cell, write_rows
from vision.base.files import write_atomically
from vision.base.outputs import ModelOutputs
from vision.data.account import list_left_out
from vision.data.label_corrections import COLUMNS
from vision.data.records import Manifest, Splits
from vision.decision.held_out import HeldOut
from vision.evaluation.suspected import Suspect, count_confusions, find_suspects, rank_groups

PAGE_NAME, TABLE_NAME = "exploration.html", "suspected_labels.csv"
MOST_SUSPECTS, MOST_PAIRS, SAMPLES, PAIR_PICTURES, MOST_STRANGERS, MOST_LEFT_OUT = 24, 4, 6, 3, 12, 5
_MEAN_OF = 200


@dataclass(frozen=True, eq=False)
class Explored:
    """What one network says of the images; nothing of it was decided upon.

    Attributes:
        is_frozen: its backbone was not trained on these images, and every label was judged by folds.
        held_out: answers of heads that were fitted without the image; None where no label can be judged.
        lack: why none can, or what a training would refuse; empty where nothing is in the way.
    """

    candidate: str
    is_frozen: bool
    outputs: ModelOutputs
    held_out: HeldOut | None
    lack: str = ""

    def find_suspects(self) -> list[Suspect]:
        """Images whose label another class beats, the most doubtful first."""
        return [] if self.held_out is None else find_suspects(self.held_out)


@dataclass(frozen=True)
class _Tile:
    source: str | None
    title: str
    detail: str
    file: str


@dataclass(frozen=True)
class _Group:
    """A class, or a pair of classes, with its pictures."""

    title: str
    text: str
    tiles: tuple[_Tile, ...]
    mean: str | None = None
    colour: str = ""


@dataclass(frozen=True, eq=False)
class _Subject:
    """What the page is about; `doubted` are those suspects that it shows, one of each group."""

    story: RunStory
    manifest: Manifest
    splits: Splits
    explored: Explored
    suspects: list[Suspect]
    doubted: list[Suspect]

    def tile(self, row: int, title: str = "", detail: str = "") -> _Tile:
        """The picture of a row with what is said of it."""
        return _Tile(embed_row(self.story, row, GALLERY_SIDE), title, detail, self.manifest.entries[row].path)

    def class_of(self, row: int) -> str:
        """The class of a row."""
        return self.splits.image_classes[row]


def write_exploration(story: RunStory, explored: Explored, folder: Path, pictures: PictureCache) -> None:
    """Write `exploration.html` and `suspected_labels.csv` into a folder; nothing of a story without splits.

    Raises:
        StorageError: a file or a picture cannot be written.
    """
    if story.manifest is None or story.splits is None:
        return
    suspects = explored.find_suspects()
    doubted = rank_groups(suspects)[:MOST_SUSPECTS]
    subject = _Subject(story, story.manifest, story.splits, explored, suspects, doubted)
    table = write_table(subject.suspects, subject.manifest, subject.splits)
    write_atomically(folder / TABLE_NAME, table)
    write_atomically(folder / PAGE_NAME, _render(subject, pictures).encode("utf-8"))


def write_table(suspects: Sequence[Suspect], manifest: Manifest, splits: Splits) -> str:
    """The suspects as CSV, the most doubtful first; `action` is empty, for a person to fill in."""
    rows, names = [], splits.class_names
    for each in suspects:
        path = as_path_cell(manifest.entries[each.row].path)
        words = [as_cell(text) for text in (names[each.label], names[each.suggestion])]
        margins = f"{each.margin:.4f}", f"{each.group_margin:.4f}"
        rows.append([path, *words, margins[0], as_cell(each.group), margins[1], ""])
    return write_rows(COLUMNS, rows)


def _render(subject: _Subject, pictures: PictureCache) -> str:
    story, splits, explored = subject.story, subject.splits, subject.explored
    colours = colour_classes(splits)
    counts = splits.image_classes.take(splits.used_as()).tally()
    known = [counts[name] for name in splits.class_names]
    places, rows = place_images(explored.outputs, story.config.seed, pictures)
    issues = find_issues(subject.manifest, splits, explored.held_out, subject.doubted)
    by_class = {int(row): colours[splits.image_classes[row]] for row in rows}
    by_issue: dict[int, str] = {}
    for row, colour in ((row, issue.colour) for issue in issues for row in issue.rows):
        by_issue.pop(row, None)  # so that the weightier issue lies on top
        by_issue[row] = colour
    axes, cells = show_shapes(subject.manifest, splits, explored.outputs)
    report = story.data_report
    return render_page(
        "exploration.html.j2",
        story=story,
        num_images=sum(counts.values()),
        known=known,
        mean=float(np.mean(known)),
        median=float(np.median(known)),
        imbalance=max(known) / max(min(known), 1),
        findings=report.findings if report is not None else (),
        classes=[_show_class(subject, name, counts[name], colours[name]) for name in colours],
        explored=explored,
        maps=[]
        if story.images is None
        else [draw_map(story.images, places, rows, frames) for frames in (by_class, by_issue)],
        issues=[(issue, len(set(issue.rows) & set(by_class))) for issue in issues],
        num_mapped=len(rows),
        num_judged=0 if explored.held_out is None else len(explored.held_out.rows),
        axes=axes,
        cells=cells,
        cell_size=(WIDTH, HEIGHT),
        squares=show_squares(story, subject.manifest, splits),
        ways=WAYS,
        pairs=[_show_pair(subject, *pair) for pair in count_confusions(subject.suspects)[:MOST_PAIRS]],
        suspects=[_show_suspect(subject, each, each.group_margin) for each in subject.doubted],
        grouped=len({each.group for each in subject.suspects}) < len(subject.suspects),
        num_suspects=len(subject.suspects),
        strangers=_show_strangers(subject, issues),
        two_labels=[
            subject.tile(row, subject.class_of(row))
            for pair in subject.manifest.two_labels()[:MOST_PAIRS].tolist()
            for row in pair
        ],
        left_out=list_left_out(subject.manifest, splits),
        most_left_out=MOST_LEFT_OUT,
    )


def _show_class(subject: _Subject, name: str, count: int, colour: str) -> _Group:
    rows = sample_rows(subject.story, name, SAMPLES)
    held_out = name in subject.splits.unknown_class_names
    return _Group(
        title=name,
        text=f"{count:,}{' held out as unknown' if held_out else ''}",
        tiles=tuple(map(subject.tile, rows)),
        mean=_mean_image(subject, name),
        colour=colour,
    )


def _mean_image(subject: _Subject, name: str) -> str | None:
    """The mean of at most `_MEAN_OF` decoded images of a class."""
    images = subject.story.images
    rows = subject.splits.image_classes.places.get(name)
    if images is None or rows is None:
        return None
    chosen = rows[np.linspace(0, len(rows) - 1, min(_MEAN_OF, len(rows))).round().astype(int)]
    mean = np.asarray(images[chosen]).mean(axis=0, dtype=np.float64)
    return embed_image(mean.round().astype(np.uint8), GALLERY_SIDE)


def _show_pair(subject: _Subject, first: int, second: int, found: Sequence[Suspect]) -> _Group:
    names = subject.splits.class_names
    of_both = [
        each
        for label in (first, second)
        for each in rank_groups([one for one in found if one.label == label])[:PAIR_PICTURES]
    ]
    return _Group(
        title=f"{names[first]} and {names[second]}",
        text=f"{len(found):,} taken for the other",
        tiles=tuple(_show_suspect(subject, each, each.margin) for each in of_both),
    )


def _show_suspect(subject: _Subject, each: Suspect, margin: float) -> _Tile:
    label, suggestion = (subject.splits.class_names[i] for i in (each.label, each.suggestion))
    return subject.tile(each.row, label, f"or {suggestion}? likelier by {1 - 2 * margin:.2f}")


def _show_strangers(subject: _Subject, issues: Sequence[Issue]) -> list[_Tile]:
    rows = next(issue.rows for issue in issues if issue.title == "like no class")
    return [subject.tile(row, subject.class_of(row)) for row in rows[:MOST_STRANGERS]]

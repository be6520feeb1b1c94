"""The exploration page: the images themselves, what lies close together, and labels to look at again."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from report.formatting import plain_name
from report.page import render_page
from report.pictures import PictureCache, Plot, make_key
from report.story import RunStory
from report.thumbnails import GALLERY_SIDE, embed_image, embed_row, sample_rows
from vision.base.cells import as_cell, as_path_cell
from vision.base.files import write_atomically
from vision.base.outputs import ModelOutputs
from vision.base.record import FloatArray, ImageArray, IntArray
from vision.data.label_corrections import COLUMNS
from vision.data.records import Manifest, Splits
from vision.decision.held_out import HeldOut
from vision.evaluation.embedding_map import project, sample_positions
from vision.evaluation.suspected import Suspect, count_confusions, find_suspects

PAGE_NAME, TABLE_NAME = "exploration.html", "suspected_labels.csv"
MOST_SUSPECTS, MOST_PAIRS, SAMPLES, PAIR_PICTURES = 40, 6, 6, 3
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#9A5BA5", "#56B4E9", "#B8A500", "#7A4E2D")
_UNKNOWN_COLOUR = "#9AA1AB"
_CANVAS, _THUMB, _FRAME = (1560, 1080), 44, 3
_MEAN_OF = 200


@dataclass(frozen=True, eq=False)
class Explored:
    """What one candidate says of the images; nothing of it was decided upon.

    Attributes:
        candidate: its name.
        is_frozen: its backbone was not trained on these images, and every label was judged by folds.
        outputs: of all images.
        held_out: answers of heads that were fitted without the image.
    """

    candidate: str
    is_frozen: bool
    outputs: ModelOutputs
    held_out: HeldOut


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


def write_exploration(story: RunStory, explored: Explored, folder: Path, pictures: PictureCache) -> None:
    """Write `exploration.html` and `suspected_labels.csv` into a run's folder.

    Raises:
        StorageError: a file or a picture cannot be written.
    """
    if story.manifest is None or story.splits is None:
        return
    suspects = find_suspects(explored.held_out)
    write_atomically(folder / TABLE_NAME, write_table(suspects, story.manifest, story.splits))
    page = render_exploration(story, explored, suspects, pictures)
    write_atomically(folder / PAGE_NAME, page.encode("utf-8"))


def write_table(suspects: Sequence[Suspect], manifest: Manifest, splits: Splits) -> str:
    """The suspects as CSV, the most doubtful first; `action` is empty, for a person to fill in."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    names = splits.class_names
    for each in suspects:
        path = as_path_cell(manifest.entries[each.row].path)
        words = [as_cell(text) for text in (names[each.label], names[each.suggestion])]
        margins = f"{each.margin:.4f}", f"{each.group_margin:.4f}"
        writer.writerow([path, *words, margins[0], as_cell(each.group), margins[1], ""])
    return out.getvalue()


def render_exploration(
    story: RunStory, explored: Explored, suspects: Sequence[Suspect], pictures: PictureCache
) -> str:
    """The page as HTML; the story has a manifest and splits."""
    splits, report = story.splits, story.data_report
    assert splits is not None
    colours = _colour_classes(splits)
    counts = Counter(name for name, use in zip(splits.image_classes, splits.splits, strict=True) if use)
    known = [counts[name] for name in splits.class_names]
    plots = {} if report is None else {"counts": Plot("data.draw_class_counts", report)}
    if report is not None and report.quality:
        plots["quality"] = Plot("data.draw_quality", report)
    places, positions = _place(story, explored, pictures)
    return render_page(
        "exploration.html.j2",
        story=story,
        name=story.config.name,
        num_images=sum(counts.values()),
        known=known,
        mean=float(np.mean(known)),
        median=float(np.median(known)),
        imbalance=max(known) / max(min(known), 1),
        plots={name: pictures.embed(plot) for name, plot in plots.items()},
        findings=report.findings if report is not None else (),
        classes=[_show_class(story, name, counts[name], colours[name]) for name in colours],
        explored=explored,
        map=_draw_map(story, explored, suspects[:MOST_SUSPECTS], places, positions, colours),
        num_mapped=len(positions),
        num_judged=len(explored.held_out.rows),
        pairs=[_show_pair(story, splits, *pair) for pair in count_confusions(suspects)[:MOST_PAIRS]],
        suspects=[_show_suspect(story, splits, each) for each in suspects[:MOST_SUSPECTS]],
        num_suspects=len(suspects),
    )


def _colour_classes(splits: Splits) -> dict[str, str]:
    known = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(splits.class_names)}
    return known | dict.fromkeys(splits.unknown_class_names, _UNKNOWN_COLOUR)


def _show_class(story: RunStory, name: str, count: int, colour: str) -> _Group:
    rows = sample_rows(story, name, SAMPLES)
    held_out = story.splits is not None and name in story.splits.unknown_class_names
    return _Group(
        title=plain_name(name),
        text=f"{count:,} images{', held out as unknown' if held_out else ''}",
        tiles=tuple(_Tile(embed_row(story, row, GALLERY_SIDE), "", "", _name(story, row)) for row in rows),
        mean=_mean_image(story, name),
        colour=colour,
    )


def _mean_image(story: RunStory, name: str) -> str | None:
    """The mean of at most `_MEAN_OF` decoded images of a class."""
    if story.images is None or story.splits is None:
        return None
    rows: IntArray = np.flatnonzero(np.array(story.splits.image_classes, dtype=np.str_) == name)
    if not len(rows):
        return None
    chosen = rows[np.linspace(0, len(rows) - 1, min(_MEAN_OF, len(rows))).round().astype(int)]
    mean = np.asarray(story.images[chosen]).mean(axis=0, dtype=np.float64)
    return embed_image(mean.round().astype(np.uint8), GALLERY_SIDE)


def _show_pair(story: RunStory, splits: Splits, first: int, second: int, found: Sequence[Suspect]) -> _Group:
    names = splits.class_names
    of_both = [
        each
        for label in (first, second)
        for each in [one for one in found if one.label == label][:PAIR_PICTURES]
    ]
    return _Group(
        title=f"{plain_name(names[first])} and {plain_name(names[second])}",
        text=f"{len(found):,} taken for the other",
        tiles=tuple(_show_suspect(story, splits, each) for each in of_both),
    )


def _show_suspect(story: RunStory, splits: Splits, each: Suspect) -> _Tile:
    label, suggestion = (plain_name(splits.class_names[i]) for i in (each.label, each.suggestion))
    source = embed_row(story, each.row, GALLERY_SIDE)
    return _Tile(source, label, f"looks like {suggestion} · margin {each.margin:.2f}", _name(story, each.row))


def _name(story: RunStory, row: int) -> str:
    return story.manifest.entries[row].path if story.manifest is not None else ""


def _place(story: RunStory, explored: Explored, pictures: PictureCache) -> tuple[FloatArray, IntArray]:
    """Places (n, 2) on the map, and the positions among the outputs that they belong to."""
    seed, embeddings = story.config.seed, explored.outputs.embeddings
    positions = sample_positions(len(embeddings), seed)
    chosen = embeddings[positions]
    key = make_key("map", str(seed), chosen.tobytes().hex())
    return pictures.get_arrays(key, lambda: {"places": project(chosen, seed)})["places"], positions


def _draw_map(
    story: RunStory,
    explored: Explored,
    suspects: Sequence[Suspect],
    places: FloatArray,
    positions: IntArray,
    colours: dict[str, str],
) -> str | None:
    """Small pictures at their places, framed in the colour of their class; suspects on top, framed red."""
    if story.images is None or story.splits is None:
        return None
    doubted = {each.row for each in suspects}
    canvas = Image.new("RGB", _CANVAS, "#f6f7f9")
    rows = explored.outputs.rows[positions]
    order = sorted(range(len(rows)), key=lambda i: int(rows[i]) in doubted)
    for i in order:
        row = int(rows[i])
        frame = "#E00000" if row in doubted else colours[story.splits.image_classes[row]]
        tile = _frame(np.asarray(story.images[row]), frame)
        x, y = (int(places[i][axis] * (_CANVAS[axis] - _THUMB)) for axis in (0, 1))
        canvas.paste(tile, (x, y))
    return embed_image(np.asarray(canvas), max(_CANVAS))


def _frame(image: ImageArray, colour: str) -> Image.Image:
    side = _THUMB - 2 * _FRAME
    tile = Image.new("RGB", (_THUMB, _THUMB), colour)
    tile.paste(Image.fromarray(image).resize((side, side)), (_FRAME, _FRAME))
    return tile

"""The map of the images: those that a network sees as similar lie side by side, framed in a colour."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping

import numpy as np
from PIL import Image

from report.photographs.thumbnails import embed_image
from report.pictures import PictureCache, make_key
from vision.base.outputs import ModelOutputs
from vision.base.record import FloatArray, ImageArray, IntArray
from vision.data.records import Splits
from vision.evaluation.embedding_map import project, sample_positions

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#9A5BA5", "#56B4E9", "#B8A500", "#7A4E2D")
UNKNOWN_COLOUR = "#9AA1AB"
_CANVAS, _THUMB, _FRAME = (1560, 1080), 44, 3
_PAPER, _FADED = "#f6f7f9", 0.25


def colour_classes(splits: Splits) -> dict[str, str]:
    """A colour for each known class; one grey for those that are held out."""
    names, colours = splits.class_names, list(COLOURS)
    if len(names) > len(colours):
        turns = [(i / len(names), (0.38, 0.55)[i % 2]) for i in range(len(names))]
        shades = [colorsys.hls_to_rgb(hue, light, 0.75) for hue, light in turns]
        colours = ["#" + "".join(f"{round(255 * each):02X}" for each in shade) for shade in shades]
    known = dict(zip(names, colours, strict=False))
    return known | dict.fromkeys(splits.unknown_class_names, UNKNOWN_COLOUR)


def place_images(outputs: ModelOutputs, seed: int, pictures: PictureCache) -> tuple[FloatArray, IntArray]:
    """Places (n, 2) on the map, and the rows (n,) of the data set that they belong to."""
    positions = sample_positions(len(outputs.embeddings), seed)
    chosen = outputs.embeddings[positions]
    key = make_key("map", str(seed), chosen.tobytes().hex())
    places = pictures.get_arrays(key, lambda: {"places": project(chosen, seed)})["places"]
    return places, outputs.rows[positions]


def draw_map(images: ImageArray, places: FloatArray, rows: IntArray, frames: Mapping[int, str]) -> str:
    """Small pictures at their places, as a data URI.

    `rows` (n,) of the images (m, s, s, 3) uint8 lie at `places` (n, 2) in 0..1. Those with a frame (row ->
    colour) lie on top, a later one above an earlier one; others are faded.
    """
    canvas = Image.new("RGB", _CANVAS, _PAPER)
    rank = {row: number for number, row in enumerate(frames)}
    for i in sorted(range(len(rows)), key=lambda i: rank.get(int(rows[i]), -1)):
        row = int(rows[i])
        x, y = (int(places[i][axis] * (_CANVAS[axis] - _THUMB)) for axis in (0, 1))
        canvas.paste(_frame(np.asarray(images[row]), frames.get(row)), (x, y))
    return embed_image(np.asarray(canvas), max(_CANVAS))


def _frame(image: ImageArray, colour: str | None) -> Image.Image:
    side = _THUMB - 2 * _FRAME
    small = Image.fromarray(image).resize((side, side))
    if colour is None:
        small = Image.blend(Image.new("RGB", small.size, _PAPER), small, _FADED)
    tile = Image.new("RGB", (_THUMB, _THUMB), colour or _PAPER)
    tile.paste(small, (_FRAME, _FRAME))
    return tile

"""One picture of a folder of photographs: some of every class, a row a class."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from report.figures.style import DOTS_PER_INCH, FONT, INK, MUTED, SMALL, to_png
from report.photographs.thumbnails import read_photograph
from vision.base.record import ImageArray
from vision.base.wording import count_of, shorten
from vision.data.records import ImageEntry
from vision.data.survey import ClassSize, Survey, choose_samples

PICTURES = 8
"""Of a class."""
SIDE = 132
"""Pixels of the longer side of a picture."""
GAP = 6
MOST_CLASSES = 60
_NAMES_INCHES = 2.0
_TITLE_INCHES = 0.45
_FOOT_INCHES = 0.25


def draw_contact_sheet(survey: Survey) -> bytes:
    """Up to eight pictures of each class, of different groups where these are known. PNG."""
    from matplotlib.figure import Figure

    by_class: dict[str, list[ImageEntry]] = defaultdict(list)
    for entry in survey.manifest.entries:
        by_class[entry.class_name].append(entry)
    sizes = [size for size in survey.class_sizes() if size.num_images]
    shown = sizes[:MOST_CLASSES]
    rows = [_make_row(survey, choose_samples(by_class[size.name], PICTURES)) for size in shown]
    mosaic = np.concatenate(rows)
    height, width = (each / DOTS_PER_INCH for each in mosaic.shape[:2])
    figure = Figure(
        figsize=(width + _NAMES_INCHES, height + _TITLE_INCHES + _FOOT_INCHES),
        dpi=DOTS_PER_INCH,
        facecolor="white",
    )
    figure.figimage(
        mosaic,
        xo=round(_NAMES_INCHES * DOTS_PER_INCH),
        yo=round(_FOOT_INCHES * DOTS_PER_INCH),
        origin="upper",
    )
    total = height + _TITLE_INCHES + _FOOT_INCHES
    figure.text(
        0.1 / (width + _NAMES_INCHES),
        1 - 0.28 / total,
        _title(survey, sizes),
        fontsize=FONT + 1,
        fontweight="bold",
        color=INK,
    )
    for place, size in enumerate(shown):
        middle = 1 - (_TITLE_INCHES + (place + 0.5) * height / len(shown)) / total
        left = 0.1 / (width + _NAMES_INCHES)
        figure.text(left, middle, shorten(size.name), fontsize=FONT, color=INK, va="bottom")
        figure.text(left, middle, _count(survey, size), fontsize=SMALL, color=MUTED, va="top")
    return to_png(figure)


def _make_row(survey: Survey, entries: list[ImageEntry]) -> ImageArray:
    """Pictures beside each other on white, (SIDE + GAP, PICTURES * (SIDE + GAP), 3) uint8."""
    row = np.full((SIDE + GAP, PICTURES * (SIDE + GAP), 3), 255, np.uint8)
    for place, entry in enumerate(entries):
        picture = read_photograph(survey.manifest, entry, SIDE)
        if picture is None:  # removed or changed since it was listed
            continue
        height, width = picture.shape[:2]
        top, left = (SIDE - height) // 2, place * (SIDE + GAP) + (SIDE - width) // 2
        row[top : top + height, left : left + width] = picture
    return row


def _title(survey: Survey, sizes: list[ClassSize]) -> str:
    more = f", {len(sizes) - MOST_CLASSES} more are not shown" if len(sizes) > MOST_CLASSES else ""
    return f"{survey.tell_pictures()}{more}"


def _count(survey: Survey, size: ClassSize) -> str:
    groups = f", {count_of(size.num_groups, 'group')}" if survey.has_groups else ""
    return f"{count_of(size.num_images, 'picture')}{groups}"

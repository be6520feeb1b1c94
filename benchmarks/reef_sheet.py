"""The reef on one sheet: known species on the left, unknown ones, a burst and turbid water on the right."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from vision.data.sources.reef.painter import HEIGHT, WIDTH, paint_image
from vision.data.sources.reef.species import KNOWN_SPECIES, SPECIES, UNKNOWN_SPECIES

_GAP = 4
_LABEL = 24
_INK = (32, 42, 54)
_PAPER = (250, 250, 248)

_Row = tuple[str, list[Image.Image]]


def paint_sheet(seed: int, num_columns: int = 4) -> Image.Image:
    """Every species with `num_columns` individuals, then one fish's burst, then ever more turbid water."""
    known = [_paint_species(seed, name, num_columns) for name in KNOWN_SPECIES]
    unknown = [_paint_species(seed, name, num_columns) for name in UNKNOWN_SPECIES]
    burst = [paint_image(seed, KNOWN_SPECIES[0], 3, frame)[0] for frame in range(num_columns)]
    levels = [i / (num_columns - 1) for i in range(num_columns)]
    drifted = [paint_image(seed, KNOWN_SPECIES[2], 3, 0, turbidity=level)[0] for level in levels]
    unknown.append((f"frames of one {KNOWN_SPECIES[0]}", burst))
    unknown.append(("turbidity " + ", ".join(f"{level:.2g}" for level in levels), drifted))
    return _arrange([known, unknown], num_columns)


def _paint_species(seed: int, name: str, num_images: int) -> _Row:
    nearest = SPECIES[name].nearest
    kind = "known" if nearest is None else f"unknown, resembles {nearest}"
    return f"{name} ({kind})", [paint_image(seed, name, i, 0)[0] for i in range(num_images)]


def _arrange(halves: list[list[_Row]], num_columns: int) -> Image.Image:
    width, height = num_columns * (WIDTH + _GAP) + 3 * _GAP, HEIGHT + _LABEL + _GAP
    num_rows = max(len(rows) for rows in halves)
    sheet = Image.new("RGB", (len(halves) * width, num_rows * height + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(15)
    for half, rows in enumerate(halves):
        for row, (label, images) in enumerate(rows):
            left, top = half * width + 2 * _GAP, row * height + _GAP
            draw.text((left, top + 3), label, fill=_INK, font=font)
            for column, image in enumerate(images):
                sheet.paste(image, (left + column * (WIDTH + _GAP), top + _LABEL))
    return sheet

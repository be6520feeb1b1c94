"""The reef on one sheet: a row for each species, then one fish in ever more turbid water."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from vision.sources.reef.painter import HEIGHT, WIDTH, paint_image
from vision.sources.reef.species import KNOWN_SPECIES, SPECIES, UNKNOWN_SPECIES

_GAP = 4
_LABEL = 24
_INK = (32, 42, 54)
_PAPER = (250, 250, 248)


def paint_sheet(seed: int, num_columns: int = 5) -> Image.Image:
    """Known species, then unknown ones, `num_columns` individuals each; then a burst, and turbidity."""
    names = KNOWN_SPECIES + UNKNOWN_SPECIES
    rows = len(names) + 2
    size = (num_columns * (WIDTH + _GAP) + _GAP, rows * (HEIGHT + _LABEL + _GAP) + _GAP)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    for row, name in enumerate(names):
        images = [paint_image(seed, name, i, 0)[0] for i in range(num_columns)]
        nearest = SPECIES[name].nearest
        kind = "known" if nearest is None else f"unknown, resembles {nearest}"
        _paste_row(sheet, draw, row, f"{name} ({kind})", images)
    burst = [paint_image(seed, names[0], 3, frame)[0] for frame in range(num_columns)]
    _paste_row(sheet, draw, rows - 2, f"{names[0]}: frames of one individual", burst)
    levels = [i / (num_columns - 1) for i in range(num_columns)]
    drifted = [paint_image(seed, names[2], 1, 0, turbidity=level)[0] for level in levels]
    label = "turbidity " + ", ".join(f"{level:.1f}" for level in levels)
    _paste_row(sheet, draw, rows - 1, label, drifted)
    return sheet


def _paste_row(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, row: int, label: str, images: list[Image.Image]
) -> None:
    top = _GAP + row * (HEIGHT + _LABEL + _GAP)
    draw.text((_GAP + 2, top + 3), label, fill=_INK, font=ImageFont.load_default(15))
    for column, image in enumerate(images):
        sheet.paste(image, (_GAP + column * (WIDTH + _GAP), top + _LABEL))

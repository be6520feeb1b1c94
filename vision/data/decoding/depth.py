"""Samples of more than eight bits become eight, over the range that they really use.

A camera or a microscope often writes 10, 12 or 14 bits into 16 without saying so, and the picture is
nearly black. How many bits are used is told by the largest sample, unless a PNG's sBIT chunk says it; a
picture of 16 true bits has a sample in its upper three quarters, or was made from eight bits (multiples of
257). A dark picture shows fewer bits than its camera writes: what most pictures of a data set use is the
least that any of them is taken to use, in training and in the service.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from vision.base.errors import ImageError

_FULL = 16
_USUAL_BITS = (10, 12, 14)
_STRIP_PIXELS = 1_000_000
_SWAPPED = {"B": "L", "L": "B", "N": "B"}

_Samples = NDArray[np.uint16]


@dataclass(frozen=True)
class Reduced:
    """An eight-bit picture.

    Attributes:
        image: mode L, RGB or RGBA.
        mask: mode L, 0 where the declared transparent value was; None where none is declared.
        bits: how many of 16 bits its samples were taken to use.
        guessed: the same, as far as the picture alone tells; 0 where its file declares them.
    """

    image: Image.Image
    mask: Image.Image | None
    bits: int
    guessed: int


@dataclass(frozen=True)
class Bits:
    """What is known of a picture's bits beforehand.

    `declared` are those that its file says are used, if it does; `least` those that the pictures of its data
    set use, which a dark picture among them does not show.
    """

    declared: int | None = None
    least: int = 0


def is_deep_colour(image: ImageFile.ImageFile) -> bool:
    """Whether a picture that is not loaded yet has 16 bits a channel; Pillow keeps the upper eight."""
    return any(";16" in rawmode for rawmode in map(_rawmode, image.tile)) and image.mode in ("RGB", "RGBA")


def reduce_grey(image: Image.Image, bits: Bits, exponent: float) -> Reduced:
    """A picture of one channel of 16 or 32 bits or of floating point numbers as mode L.

    The picture is loaded, in mode I;16, I or F. `exponent` is of the values in [0, 1]; 1 leaves them.

    Raises:
        ImageError: 32-bit numbers that are no sensor's values.
    """
    scale = _float_scale(image) if image.mode == "F" else 1.0

    def strips() -> Iterator[tuple[int, _Samples]]:
        for top, strip in _strips(image):
            samples = np.nan_to_num(np.asarray(strip).astype(np.float32) * scale)
            if image.mode != "F" and samples.max() > 65_535:
                raise ImageError("the samples have over 16 bits; expected 8 or 16. Save it as a 16-bit TIFF")
            yield top, np.clip(np.rint(samples), 0, 65_535).astype(np.uint16)

    key = image.info.get("transparency")
    return _reduce(image.size, "L", strips, bits, exponent, key if isinstance(key, int) else None)


def reduce_colour(
    upper: Image.Image, reopen: Callable[[], ImageFile.ImageFile], bits: Bits, exponent: float
) -> Reduced | None:
    """A picture of 16 bits a channel, loaded by Pillow with its upper eight; None where these are enough.

    `upper` is in mode RGB or RGBA; `reopen` opens its file again. `exponent` is of the values in [0, 1].
    """
    colours = upper.convert("RGB") if upper.mode == "RGBA" else upper
    highest = max(high for _, high in colours.getextrema())  # type: ignore[misc]
    used = max(bits.declared or max(_USUAL_BITS), bits.least)
    if exponent == 1.0 and (used >= _FULL or highest >> (used - 8)):
        return None
    lower = reopen()
    lower.tile = [tile._replace(args=_swap(tile.args)) for tile in lower.tile]
    lower.load()

    def strips() -> Iterator[tuple[int, _Samples]]:
        for (top, high), (_, low) in zip(_strips(colours), _strips(lower.convert("RGB")), strict=True):
            yield top, np.asarray(high).astype(np.uint16) << 8 | np.asarray(low)

    key = upper.info.get("transparency")
    reduced = _reduce(upper.size, "RGB", strips, bits, exponent, key if isinstance(key, tuple) else None)
    mask = upper.getchannel("A") if upper.mode == "RGBA" else reduced.mask
    return Reduced(reduced.image, mask, reduced.bits, reduced.guessed)


def _reduce(
    sides: tuple[int, int],
    mode: str,
    strips: Callable[[], Iterator[tuple[int, _Samples]]],
    bits: Bits,
    exponent: float,
    key: int | tuple[int, ...] | None,
) -> Reduced:
    """Twice over the strips: how many bits are used, then the eight of each sample."""
    highest, is_eight = 0, True
    for _, samples in strips():
        highest = max(highest, int(samples.max()))
        is_eight = is_eight and not (samples % 257).any()
    guessed = _guess_bits(highest, is_eight)
    used = max(guessed, bits.least)
    if bits.declared is not None:
        guessed, used = 0, bits.declared if highest < 1 << bits.declared else _FULL
    table = _table(used, exponent)
    image = Image.new(mode, sides)
    mask = None if key is None else Image.new("L", sides)
    for top, samples in strips():
        image.paste(Image.fromarray(table[samples]), (0, top))
        if mask is not None:
            same = samples == np.asarray(key, dtype=np.int64)
            shown = ~(same.all(axis=2) if same.ndim == 3 else same)
            mask.paste(Image.fromarray(shown.astype(np.uint8) * 255), (0, top))
    return Reduced(image, mask, used, guessed)


def _guess_bits(highest: int, is_eight: bool) -> int:
    if is_eight:
        return _FULL
    return next((bits for bits in _USUAL_BITS if highest < 1 << bits), _FULL)


@lru_cache(maxsize=16)
def _table(bits: int, exponent: float) -> NDArray[np.uint8]:
    """The eight bits of every sample of 16."""
    values = np.arange(65_536, dtype=np.float64) / ((1 << bits) - 1)
    eight = np.rint(255 * np.clip(values, 0, 1) ** exponent)
    table: NDArray[np.uint8] = eight.astype(np.uint8)
    return table


def _float_scale(image: Image.Image) -> float:
    """What floating point samples are multiplied by to fill 16 bits."""
    low, high = image.getextrema()
    for most in (1.0, 255.0, 65_535.0):
        if 0 <= low <= high <= most:  # type: ignore[operator]
            return 65_535.0 / most
    raise ImageError(
        f"the samples are floating point numbers from {low:g} to {high:g}; expected 0 to 1, 255 or 65535. "
        "Scale them, or save it as a 16-bit TIFF"
    )


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The picture in strips from the top: the whole in wide numbers would take several times its memory."""
    width, height = image.size
    num_rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, num_rows):
        yield top, image.crop((0, top, width, min(height, top + num_rows)))


def _rawmode(tile: ImageFile._Tile) -> str:
    first = tile.args[0] if isinstance(tile.args, tuple) and tile.args else tile.args
    return first if isinstance(first, str) else ""


def _swap(args: tuple[Any, ...] | str | None) -> tuple[Any, ...] | str | None:
    """A decoder's arguments with the order of bytes turned, so that it keeps the lower eight bits."""
    if isinstance(args, str):
        return args[:-1] + _SWAPPED[args[-1]] if ";16" in args else args
    if isinstance(args, tuple) and args:
        return _swap(args[0]), *args[1:]
    return args


def reopened(raw: bytes, image: Image.Image) -> ImageFile.ImageFile:
    """The same file, opened anew by the same reader; TypeError if the picture was not opened from a file."""
    if not isinstance(image, ImageFile.ImageFile):
        raise TypeError(f"A {type(image).__name__} arrived. Expected an image file that was opened.")
    return type(image)(io.BytesIO(raw))

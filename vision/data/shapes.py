"""How pictures of these shapes become squares: settled here once for a run, and said in a sentence."""

from __future__ import annotations

import logging

import numpy as np

from vision.base.record import FloatArray
from vision.config.data import ImageSettings, Resize
from vision.data.records import Manifest

logger = logging.getLogger(__name__)

NEARLY_SQUARE = 1.1
"""Longer side over shorter; below it a stretched picture is hardly told from the original."""

_DONE = {
    Resize.PAD: "padded to a square; nothing is cut and shapes stay as they are",
    Resize.STRETCH: "stretched to a square; nothing is cut",
    Resize.CROP: "cut to the square in their centre",
}


def choose_resize(settings: ImageSettings, manifest: Manifest) -> tuple[ImageSettings, str]:
    """What `settle_resize` gives, said in the log."""
    settled, told = settle_resize(settings, manifest)
    logger.info(told)
    return settled, told


def settle_resize(settings: ImageSettings, manifest: Manifest) -> tuple[ImageSettings, str]:
    """The settings with one of pad, stretch and crop in place of `auto`, and a sentence that says why.

    `auto` stretches where 95% of the pictures are nearly square, and pads all others. It never crops: what
    lies at the edge may be the subject.
    """
    widths, heights = (manifest.entries.column(name).numbers() for name in ("width", "height"))
    ratios = widths / heights
    resize = settings.resize
    if resize is Resize.AUTO:
        longest = float(np.percentile(np.maximum(ratios, 1.0 / ratios), 95.0))
        resize = Resize.STRETCH if longest <= NEARLY_SQUARE else Resize.PAD
    told = f"Pictures are {_describe(ratios)}: {_DONE[resize]} (images.resize: {settings.resize})."
    return settings.model_copy(update={"resize": resize}), told


def _describe(ratios: FloatArray) -> str:
    """The shapes of most pictures in words; `ratios` (n,) are widths over heights."""
    low, middle, high = (_name(float(each)) for each in np.percentile(ratios, [5.0, 50.0, 95.0]))
    if low == high:
        return middle
    (few, _, sides), (_, _, same) = low.partition(" times"), high.partition(" times")
    return f"{few} to {high}" if sides and sides == same else f"from {low} to {high}"


def _name(ratio: float) -> str:
    if max(ratio, 1.0 / ratio) <= NEARLY_SQUARE:
        return "nearly square"
    sides = "wide as high" if ratio >= 1.0 else "high as wide"
    return f"{max(ratio, 1.0 / ratio):.1f} times as {sides}"

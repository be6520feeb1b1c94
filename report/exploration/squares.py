"""Pictures of the extreme shapes beside the squares that each way of resizing makes of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from report.photographs.thumbnails import NO_LIMIT, SAMPLE_SIDE, embed_image, read_photograph
from report.story import RunStory
from vision.base.errors import ImageError
from vision.config.data import Resize
from vision.data.images import decode_image
from vision.data.records import ImageEntry, Manifest, Splits
from vision.data.shapes import NEARLY_SQUARE, settle_resize

WAYS = (Resize.PAD, Resize.STRETCH, Resize.CROP)


@dataclass(frozen=True)
class Squared:
    """One picture: its file, itself, and what each of `WAYS` makes of it; pictures are data URIs."""

    file: str
    original: str
    squares: tuple[str, ...]


@dataclass(frozen=True)
class Squares:
    """What the page shows: a sentence, the way in use, and pictures; none where all are nearly square."""

    reason: str
    chosen: Resize
    pictures: tuple[Squared, ...]


def show_squares(story: RunStory, manifest: Manifest, splits: Splits) -> Squares:
    """The highest, the middle and the widest picture, as they are and as the network may see them."""
    settled, reason = settle_resize(story.config.images, manifest)
    size = settled.size if story.images is None else story.images.shape[1]
    used = np.flatnonzero(splits.used_as())
    ratios = np.divide(*(manifest.entries.column(name).numbers()[used] for name in ("width", "height")))
    if not len(used) or np.maximum(ratios, 1 / ratios).max() <= NEARLY_SQUARE:
        return Squares(reason, settled.resize, ())
    ordered = used[np.argsort(ratios, kind="stable")].tolist()
    chosen = dict.fromkeys((ordered[0], ordered[len(ordered) // 2], ordered[-1]))
    shown = (_show(manifest, manifest.entries[row], size) for row in chosen)
    return Squares(reason, settled.resize, tuple(each for each in shown if each is not None))


def _show(manifest: Manifest, entry: ImageEntry, size: int) -> Squared | None:
    """None where the file is gone or is another than that which was listed."""
    original = read_photograph(manifest, entry, 2 * SAMPLE_SIDE)
    if original is None:
        return None
    try:
        raw = manifest.locate(entry).read_bytes()
        squares = [
            decode_image(
                raw,
                size=size,
                resize=way,
                max_megapixels=NO_LIMIT,
                keeps_damage=entry.is_damaged,
                least_bits=manifest.least_bits,
            )
            for way in WAYS
        ]
    except (ImageError, OSError):  # gone since it was read
        return None
    told = tuple(embed_image(np.asarray(each), 2 * SAMPLE_SIDE) for each in squares)
    return Squared(entry.path, embed_image(original, 2 * SAMPLE_SIDE), told)

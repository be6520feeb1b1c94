"""Views of pictures for test-time augmentation: as they are, mirrored, and a little shifted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vision.base.record import ImageArray, IntArray

MOST_VIEWS = 8
_SHIFT = 1 / 24
"""Of the side."""

_VIEWS = (
    (False, 0, 0),
    (True, 0, 0),
    (False, 1, 0),
    (False, -1, 0),
    (False, 0, 1),
    (False, 0, -1),
    (True, 1, 0),
    (True, -1, 0),
)
"""Mirrored or not, shifted right, shifted down, in the order in which they are taken."""


def make_views(images: ImageArray, num: int) -> list[ImageArray]:
    """`num` views of each of the images (n, s, s, 3), the first as they are; edges are reflected.

    Raises:
        ValueError: `num` is not 1 to 8.
    """
    if not 1 <= num <= MOST_VIEWS:
        raise ValueError(f"{num} views were asked for; expected 1 to {MOST_VIEWS}.")
    return [make_view(images, index) for index in range(num)]


def make_view(images: ImageArray, index: int) -> ImageArray:
    """One view, from 0, of each of the images (n, s, s, 3)."""
    mirrored, right, down = _VIEWS[index]
    if right or down:
        side = images.shape[1]
        step = max(1, round(_SHIFT * side))
        padded = np.pad(images, ((0, 0), (step, step), (step, step), (0, 0)), mode="reflect")
        top, left = step * (1 - down), step * (1 - right)
        images = padded[:, top : top + side, left : left + side]
    return np.ascontiguousarray(images[:, :, ::-1] if mirrored else images)


@dataclass(frozen=True, eq=False)
class ViewedImages:
    """Images (n, s, s, 3) that give one view of the rows that are read; the array itself is not copied."""

    images: ImageArray
    index: int

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: IntArray) -> ImageArray:
        return make_view(np.asarray(self.images[rows]), self.index)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all images."""
        return self.images.shape

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """Of the values."""
        return self.images.dtype

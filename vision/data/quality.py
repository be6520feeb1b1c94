"""Measures brightness, contrast, sharpness and colour of pictures: the quality columns.

numpy alone, because the service measures every image that it answers. The grey padding around a picture
(`vision.data.images`) is left out, so that the figures do not depend on its aspect.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vision.base.record import FloatArray, ImageArray
from vision.data.decoding.colour import PAD_GREY

QUALITY_COLUMNS: tuple[str, ...] = (
    "brightness",
    "contrast",
    "saturation",
    "sharpness",
    "entropy",
    "fine_to_coarse",
    "gradient_kurtosis",
    "flatness",
)
"""Names of the columns of `measure_quality`, in order."""

_CHUNK = 64
_SMALL = np.float32(1e-6)
_Mask = NDArray[np.bool_]


def measure_quality(images: ImageArray) -> FloatArray:
    """Measurements of images (n, h, w, 3) uint8 of 8 pixels or more, for finding odd pictures and for drift.

    (n, 8) float32, columns `QUALITY_COLUMNS`, finite for every image. Luminance Y is Rec. 601, scaled to
    [0, 1]; gradients are differences of neighbours.

    - brightness: mean of Y.
    - contrast: standard deviation of Y.
    - saturation: mean of the largest minus the smallest channel.
    - sharpness: natural logarithm of the variance of the 4-neighbour Laplacian of Y.
    - entropy: bits of the 64-bin histogram of Y, 0 to 6.
    - fine_to_coarse: natural logarithm of gradient energy between pixels over that between 4x4 blocks.
    - gradient_kurtosis: natural logarithm of E[g^4] / E[g^2]^2; log 3 for Gaussian noise.
    - flatness: share of neighbours that differ by less than 1/255.
    """
    columns = np.zeros((len(images), len(QUALITY_COLUMNS)), dtype=np.float32)
    for start in range(0, len(images), _CHUNK):
        columns[start : start + _CHUNK] = _measure_chunk(np.asarray(images[start : start + _CHUNK]))
    return columns


def _measure_chunk(images: ImageArray) -> FloatArray:
    red, green, blue = (np.ascontiguousarray(images[..., channel]) for channel in range(3))
    mask = _inside(red, green, blue)
    luminance = (
        red * np.float32(0.299 / 255) + green * np.float32(0.587 / 255) + blue * np.float32(0.114 / 255)
    )
    chroma = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    picture = _Weights(mask)
    mean = picture.mean(luminance)
    variance = picture.mean((luminance - mean[:, None, None]) ** 2)
    fine, kurtosis, flatness = _gradient_figures(luminance, mask)
    coarse = _coarse_energy(luminance, picture.values)
    return np.stack(
        [
            mean,
            np.sqrt(variance),
            picture.mean(chroma * np.float32(1 / 255)),
            np.log(_laplacian_variance(luminance, mask) + _SMALL),
            _entropy(luminance, mask),
            np.log((fine + _SMALL) / (coarse + _SMALL)),
            np.log(kurtosis),
            flatness,
        ],
        axis=1,
    )


class _Weights:
    """A mask (n, h, w) as what means are taken with."""

    def __init__(self, mask: _Mask) -> None:
        self.values = mask.astype(np.float32)
        self._counts = np.maximum(np.einsum("nhw->n", self.values), 1)  # whole numbers: exact to 16 million

    def mean(self, values: FloatArray) -> FloatArray:
        """(n, h, w) -> (n,): mean where the mask holds, 0 where it holds nowhere."""
        by_row = np.einsum("nhw,nhw->nh", values, self.values)
        total = by_row.sum(axis=1, dtype=np.float64)  # float32 would lose digits on large images
        mean: FloatArray = (total / self._counts).astype(np.float32)
        return mean


def _inside(red: ImageArray, green: ImageArray, blue: ImageArray) -> _Mask:
    """(n, h, w): False in rows and columns that are padding; True throughout where nothing else is left."""
    grey = (red == PAD_GREY) & (green == PAD_GREY) & (blue == PAD_GREY)
    inside: _Mask = ~(grey.all(axis=2)[:, :, None] | grey.all(axis=1)[:, None, :])
    inside[~inside.any(axis=(1, 2))] = True
    return inside


def _laplacian_variance(luminance: FloatArray, mask: _Mask) -> FloatArray:
    laplacian = (
        luminance[:, :-2, 1:-1]
        + luminance[:, 2:, 1:-1]
        + luminance[:, 1:-1, :-2]
        + luminance[:, 1:-1, 2:]
        - 4 * luminance[:, 1:-1, 1:-1]
    )
    inner = mask[:, :-2, 1:-1] & mask[:, 2:, 1:-1] & mask[:, 1:-1, :-2] & mask[:, 1:-1, 2:]
    weights = _Weights(inner)
    mean = weights.mean(laplacian)
    return weights.mean((laplacian - mean[:, None, None]) ** 2)


def _gradient_figures(luminance: FloatArray, mask: _Mask) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Energy, kurtosis and share of near-zero of the gradients, each (n,)."""
    across = luminance[:, :-1, 1:] - luminance[:, :-1, :-1]
    down = luminance[:, 1:, :-1] - luminance[:, :-1, :-1]
    weights = _Weights(mask[:, :-1, :-1] & mask[:, :-1, 1:] & mask[:, 1:, :-1])
    square_across, square_down = across * across, down * down
    second = weights.mean(square_across + square_down) / 2
    fourth = weights.mean(square_across**2 + square_down**2) / 2
    flat = (np.abs(across) < 1 / 255) & (np.abs(down) < 1 / 255)
    kurtosis = (fourth + _SMALL**2) / (second + _SMALL) ** 2
    return second, kurtosis, weights.mean(flat.astype(np.float32))


def _coarse_energy(luminance: FloatArray, inside: FloatArray, block: int = 4) -> FloatArray:
    """(n,): gradient energy between the means of 4x4 blocks of which at least half is picture."""
    num_inside = _block_sums(inside, block)
    total = _block_sums(luminance * inside, block)
    coarse, usable = total / np.maximum(num_inside, 1), num_inside >= block * block / 2
    across = (coarse[:, :-1, 1:] - coarse[:, :-1, :-1]) ** 2
    down = (coarse[:, 1:, :-1] - coarse[:, :-1, :-1]) ** 2
    weights = _Weights(usable[:, :-1, :-1] & usable[:, :-1, 1:] & usable[:, 1:, :-1])
    return weights.mean(across + down) / 2


def _block_sums(values: FloatArray, block: int) -> FloatArray:
    """(n, h, w) -> (n, h // block, w // block)."""
    num, height, width = len(values), values.shape[1] // block, values.shape[2] // block
    tiles = values[:, : height * block, : width * block]
    by_row = tiles.reshape(num, height, block, width * block).sum(axis=2)
    sums: FloatArray = by_row.reshape(num, height, width, block).sum(axis=3)
    return sums


def _entropy(luminance: FloatArray, mask: _Mask, num_bins: int = 64) -> FloatArray:
    num = len(luminance)
    bins = np.minimum((luminance * num_bins).astype(np.int32), num_bins - 1)
    bins += np.arange(num, dtype=np.int32)[:, None, None] * num_bins
    counts = np.bincount(bins[mask], minlength=num * num_bins).reshape(num, num_bins)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    bits: FloatArray = np.sum(share * np.log2(np.where(share > 0, share, 1.0)), axis=1)
    return np.abs(bits)

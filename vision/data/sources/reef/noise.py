"""Smooth random fields are cut from fixed tileable atlases: a field costs a view, no filter.

Fields have mean 0 and standard deviation 1; `feature` is the typical size of a bump in pixels.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]

ATLAS_SIDE = 512
_ATLAS_SEED = 20_011


@lru_cache(maxsize=12)
def noise_atlas(feature: float) -> Field:
    """A tileable field, stored twice in each direction, so that any window up to 512 x 512 is a view.

    (1024, 1024) float32, white noise filtered by a ring in the frequency plane (spectral synthesis);
    `feature` is the size of a bump in pixels, 0 gives white noise.
    """
    rng = np.random.default_rng([_ATLAS_SEED, round(feature * 10)])
    white = rng.standard_normal((ATLAS_SIDE, ATLAS_SIDE))
    if feature > 0:
        fy = np.fft.fftfreq(ATLAS_SIDE)[:, None]
        fx = np.fft.rfftfreq(ATLAS_SIDE)[None, :]
        cutoff = 0.5 / feature
        power = np.exp(-((np.hypot(fy, fx) / cutoff) ** 2))
        power[0, 0] = 0.0
        white = np.fft.irfft2(np.fft.rfft2(white) * power, s=white.shape)
    white = (white - white.mean()) / white.std()
    return np.tile(white.astype(np.float32), (2, 2))


def cut_field(feature: float, shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """A window (h, w) of the atlas at a random place; read-only in spirit, do not write into it."""
    top, left = (int(v) for v in rng.integers(0, ATLAS_SIDE, 2))
    return noise_atlas(feature)[top : top + shape[0], left : left + shape[1]]


def sample_field(feature: float, columns: Field, rows: Field, offset: tuple[int, int]) -> Field:
    """The atlas at real-valued pixel positions (nearest, wrapped); all arrays of one shape."""
    i = (rows.astype(np.int32) + offset[0]) & (ATLAS_SIDE - 1)
    j = (columns.astype(np.int32) + offset[1]) & (ATLAS_SIDE - 1)
    sampled: Field = noise_atlas(feature)[i, j]
    return sampled


def smooth_step(values: Field, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, a smooth cubic between; `low` above `high` turns it round."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    result: Field = t * t * (3.0 - 2.0 * t)
    return result

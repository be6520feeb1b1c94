"""Class-activation maps: where in an image a class was read from, not its outline.

For feature map -> mean -> linear layer, relu(map) / (h w) equals Grad-CAM (Selvaraju et al. 2017), so the
exported graph needs no gradient.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from vision.base.record import FloatArray, ImageArray

_STRENGTH = 0.55
_STOPS = np.array([[13, 8, 135], [156, 23, 158], [237, 121, 83], [240, 249, 33]], dtype=np.float64)


def heat_map(cam: FloatArray, label: int) -> FloatArray:
    """Where class `label` was read from, (h, w) in 0..1, from an image's class-activation maps (h, w, k).

    All 0 where nothing did.

    Raises:
        IndexError: there is no such class.
    """
    positive = np.maximum(np.asarray(cam, dtype=np.float64)[..., label], 0.0)
    largest = float(positive.max())
    return positive / largest if largest > 0 else positive


def overlay(image: ImageArray, heat: FloatArray) -> ImageArray:
    """The image (s, s, 3) uint8 under a heat map (h, w) in 0..1; warm where the class was read from."""
    height, width = image.shape[:2]
    resized = Image.fromarray(np.asarray(heat, dtype=np.float32)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    warmth = np.clip(np.asarray(resized, dtype=np.float64), 0.0, 1.0)[..., None]
    places = warmth[..., 0] * (len(_STOPS) - 1)
    channels = [np.interp(places, np.arange(len(_STOPS)), _STOPS[:, channel]) for channel in range(3)]
    weight = _STRENGTH * warmth
    mixed = image * (1.0 - weight) + np.stack(channels, axis=-1) * weight
    return np.asarray(mixed.round(), dtype=np.uint8)

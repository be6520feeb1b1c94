"""Four convolutions with pooling between them."""

from __future__ import annotations

from typing import Any

from vision.backbones.blocks import convolve, scale_channels, scale_input
from vision.backbones.declaration import Backbone

_CHANNELS = (64, 128, 256, 512)


def build(image: Any, width: float) -> Any:
    """The feature map, an eighth of the image's side."""
    from keras import layers

    x = scale_input(image)
    for i, channels in enumerate(_CHANNELS):
        if i > 0:
            x = layers.MaxPooling2D(name=f"pool{i}")(x)
        x = convolve(x, scale_channels(channels, width), 1, f"block{i + 1}")
        x = layers.ReLU(name=f"block{i + 1}_relu")(x)
    return x


CNN = Backbone(name="cnn", build=build, channels="64-128-256-512", early="block2_relu")

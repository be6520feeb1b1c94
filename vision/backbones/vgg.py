"""Six convolutions with pooling after each pair, for small pictures (Fashion-MNIST's are 28 px)."""

from __future__ import annotations

from typing import Any

from vision.backbones.blocks import convolve, scale_channels, scale_input
from vision.backbones.declaration import Backbone

_CHANNELS = (32, 64, 128)


def build(image: Any, width: float) -> Any:
    """The feature map, an eighth of the image's side."""
    from keras import layers

    x = scale_input(image)
    for i, channels in enumerate(_CHANNELS, 1):
        for part in "ab":
            x = convolve(x, scale_channels(channels, width), 1, f"block{i}{part}")
            x = layers.ReLU(name=f"block{i}{part}_relu")(x)
        x = layers.MaxPooling2D(name=f"pool{i}")(x)
    return x


VGG_SMALL = Backbone(name="vgg_small", build=build, channels="32-32-64-64-128-128", early="block2b_relu")

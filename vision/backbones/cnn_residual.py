"""Four residual stages (He et al. 2016) behind a stem of stride 2."""

from __future__ import annotations

from typing import Any

from vision.backbones.blocks import convolve, scale_channels, scale_input
from vision.backbones.declaration import Backbone

_CHANNELS = (32, 64, 128, 256)


def build(image: Any, width: float) -> Any:
    """The feature map, a sixteenth of the image's side."""
    from keras import layers

    x = scale_input(image)
    x = convolve(x, scale_channels(_CHANNELS[0], width), 2, "stem")
    x = layers.ReLU(name="stem_relu")(x)
    for i, channels in enumerate(_CHANNELS):
        x = _residual_block(x, scale_channels(channels, width), 1 if i == 0 else 2, f"stage{i + 1}")
    return x


def _residual_block(x: Any, channels: int, stride: int, name: str) -> Any:
    """Two 3x3 convolutions beside a shortcut, projected where the shape changes."""
    from keras import layers

    shortcut = x
    if stride != 1 or x.shape[-1] != channels:
        shortcut = convolve(x, channels, stride, f"{name}_shortcut", size=1)
    x = convolve(x, channels, stride, f"{name}_a")
    x = layers.ReLU(name=f"{name}_a_relu")(x)
    x = convolve(x, channels, 1, f"{name}_b")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu")(x)


CNN_RESIDUAL = Backbone(name="cnn_residual", build=build, channels="32-64-128-256", early="stage2_relu")

"""Parts of our own small networks."""

from __future__ import annotations

from typing import Any

MOMENTUM = 0.9
"""Of batch normalisation: statistics follow within dozens of steps."""


def scale_input(image: Any) -> Any:
    """0..255 to -1..1."""
    from keras import layers

    return layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(image)


def convolve(x: Any, channels: int, stride: int, name: str, *, size: int = 3) -> Any:
    """A convolution without bias, then batch normalisation."""
    from keras import layers

    x = layers.Conv2D(
        channels,
        size,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_bn")(x)


def scale_channels(channels: int, width: float) -> int:
    """`channels` times `width`, a multiple of 4, at least 4."""
    return max(4, round(channels * width / 4) * 4)

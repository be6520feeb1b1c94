"""A small vision transformer (Dosovitskiy et al. 2021) that is trained from scratch.

Tokens stay in their places, (h, w, d), between the blocks, and their mean is the embedding, so that export
and heat map are those of a convolutional network. Positions come from a depthwise convolution (Chu et al.
2021) in place of a table, so that its weights fit every image size.
"""

from __future__ import annotations

from typing import Any

from vision.backbones.blocks import scale_channels, scale_input
from vision.backbones.declaration import NO_GELU, Backbone

_PATCH, _CHANNELS, _BLOCKS, _HEAD = 16, 192, 6, 64


def build(image: Any, width: float) -> Any:
    """The tokens after the last block, a 16th of the image's side."""
    from keras import layers

    channels = scale_channels(_CHANNELS, width)
    x = layers.Conv2D(channels, _PATCH, strides=_PATCH, name="patches")(scale_input(image))
    place = layers.DepthwiseConv2D(3, padding="same", name="place")(x)
    x = layers.Add(name="place_add")([x, place])
    for i in range(_BLOCKS):
        x = _mix_tokens(x, f"block{i + 1}_attention")
        x = _mix_channels(x, f"block{i + 1}")
    return layers.LayerNormalization(epsilon=1e-6, name="norm")(x)


def _mix_tokens(x: Any, name: str) -> Any:
    """Self-attention over the tokens, added to its input."""
    from keras import layers

    height, width, channels = x.shape[1:]
    heads = max(1, channels // _HEAD)
    tokens = layers.Reshape((height * width, channels), name=f"{name}_tokens")(x)
    tokens = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm")(tokens)
    tokens = layers.MultiHeadAttention(heads, channels // heads, name=name)(tokens, tokens)
    back = layers.Reshape((height, width, channels), name=f"{name}_places")(tokens)
    return layers.Add(name=f"{name}_add")([x, back])


def _mix_channels(x: Any, name: str) -> Any:
    """Two layers for each token by itself, added to its input."""
    from keras import layers

    channels = x.shape[-1]
    y = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm")(x)
    y = layers.Conv2D(4 * channels, 1, activation="gelu", name=f"{name}_wide")(y)
    y = layers.Conv2D(channels, 1, name=f"{name}_narrow")(y)
    return layers.Add(name=f"{name}_add")([x, y])


VIT_SMALL = Backbone(
    name="vit_small",
    build=build,
    channels="192",
    early="block2_add",
    min_size=32,
    refused={"int8": "its int8 graph answers no faster than fp32", "onnx": NO_GELU},
)

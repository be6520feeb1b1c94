"""ResNet-50 (He et al. 2016)."""

from __future__ import annotations

from typing import Any

from vision.backbones.applications import declare

_MEANS = (123.68, 116.779, 103.939)
"""ImageNet's mean red, green and blue, 0..255."""


def take_off_means(image: Any) -> Any:
    """0..255 to differences from ImageNet's means."""
    from keras import layers

    return layers.Rescaling(1.0, offset=[-mean for mean in _MEANS], name="scale")(image)


def take_rgb(network: Any) -> None:
    """Turn the first kernel's input channels round: the weights were learnt on blue, green, red."""
    first = network.get_layer("conv1_conv")
    kernel, bias = first.get_weights()
    first.set_weights([kernel[:, :, ::-1], bias])


RESNET50 = declare(
    "resnet50",
    "ResNet50",
    "tensorflow/keras-applications/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
    early="conv3_block2_out",
    cut="conv5_block2_out",
    digests={"resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5": "4d473c1dd8becc155b73f8504c6f6626"},
    scale=take_off_means,
    adapt=take_rgb,
)

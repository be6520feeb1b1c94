"""MobileNetV2 (Sandler et al. 2018), as `keras.applications` builds it."""

from __future__ import annotations

from typing import Any

from vision.backbones.blocks import scale_input
from vision.backbones.declaration import Backbone, KerasWeights

_SIZES = (96, 128, 160, 192, 224)
"""Image sizes that have a weights file of their own."""


def build(image: Any, width: float) -> Any:
    """The feature map, a 32nd of the image's side, 1,280 channels (more above width 1)."""
    import keras

    return keras.applications.MobileNetV2(
        include_top=False, weights=None, alpha=width, input_tensor=scale_input(image)
    ).output


def locate_weights(width: float, image_size: int) -> tuple[str, str]:
    """Path on Keras' server and file name."""
    size = image_size if image_size in _SIZES else 224
    name = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(width)}_{size}_no_top.h5"
    return f"tensorflow/keras-applications/mobilenet_v2/{name}", name


MOBILENET_V2 = Backbone(
    name="mobilenet_v2",
    build=build,
    channels="its alpha",
    early="block_5_add",
    widths=(0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
    cut="block_15_add",
    weights=KerasWeights(locate_weights),
    min_size=32,
)

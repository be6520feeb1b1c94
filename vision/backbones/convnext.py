"""ConvNeXt-Tiny (Liu et al. 2022), as `keras.applications` builds it."""

from __future__ import annotations

from typing import Any

from vision.backbones.declaration import Backbone, KerasWeights

_FILE = "convnext_tiny_notop.h5"


def build(image: Any, _width: float) -> Any:
    """The feature map, a 32nd of the image's side, 768 channels; it scales by itself."""
    import keras

    return keras.applications.ConvNeXtTiny(include_top=False, weights=None, input_tensor=image).output


def locate_weights(_width: float, _image_size: int) -> tuple[str, str]:
    """Path on Keras' server and file name."""
    return f"tensorflow/keras-applications/convnext/{_FILE}", _FILE


CONVNEXT_TINY = Backbone(
    name="convnext_tiny",
    build=build,
    channels="1 alone",
    early="convnext_tiny_stage_2_block_0_depthwise_conv",
    widths=(1.0,),
    weights=KerasWeights(
        locate_weights,
        digests={_FILE: "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1"},
    ),
    min_size=32,
    refused={"int8": "its int8 graph takes about 4 s an image where fp32 takes a fraction of that"},
)
"""No `cut`: the sums between its blocks have no names that stay."""

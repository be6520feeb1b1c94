"""EfficientNetV2-B0 (Tan and Le 2021), as `keras.applications` builds it."""

from __future__ import annotations

from typing import Any

from vision.backbones.declaration import Backbone, KerasWeights

_FILE = "efficientnetv2-b0_notop.h5"


def build(image: Any, _width: float) -> Any:
    """The feature map, a 32nd of the image's side, 1,280 channels; it scales by itself."""
    import keras

    return keras.applications.EfficientNetV2B0(include_top=False, weights=None, input_tensor=image).output


def locate_weights(_width: float, _image_size: int) -> tuple[str, str]:
    """Path on Keras' server and file name."""
    return f"tensorflow/keras-applications/efficientnet_v2/{_FILE}", _FILE


EFFICIENTNET_V2_B0 = Backbone(
    name="efficientnet_v2_b0",
    build=build,
    channels="1 alone",
    early="block4b_add",
    widths=(1.0,),
    cut="block6g_add",
    weights=KerasWeights(locate_weights, digests={_FILE: "893217f2bb855e2983157299931e43ff"}),
    min_size=32,
)

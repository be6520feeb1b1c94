"""MobileNetV3, small and large (Howard et al. 2019), as `keras.applications` builds them."""

from __future__ import annotations

from typing import Any

from vision.backbones.declaration import Backbone, KerasWeights

_WIDTHS = (0.75, 1.0)
_DIGESTS = {
    "weights_mobilenet_v3_large_224_0.75_float_no_top_v2.h5": "40af19a13ebea4e2ee0c676887f69a2e",
    "weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5": "07fb09a5933dd0c8eaafa16978110389",
    "weights_mobilenet_v3_small_224_0.75_float_no_top_v2.h5": "ebdb5cc8e0b497cd13a7c275d475c819",
    "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5": "d3e8ec802a04aa4fc771ee12a9a9b836",
}


def build_small(image: Any, width: float) -> Any:
    """The feature map, a 32nd of the image's side, 576 channels at width 1; it scales by itself."""
    import keras

    return keras.applications.MobileNetV3Small(
        include_top=False, weights=None, alpha=width, input_tensor=image
    ).output


def build_large(image: Any, width: float) -> Any:
    """The feature map, a 32nd of the image's side, 960 channels at width 1; it scales by itself."""
    import keras

    return keras.applications.MobileNetV3Large(
        include_top=False, weights=None, alpha=width, input_tensor=image
    ).output


def locate_small(width: float, _image_size: int) -> tuple[str, str]:
    """Path on Keras' server and file name; one file serves all image sizes."""
    return _locate("small", width)


def locate_large(width: float, _image_size: int) -> tuple[str, str]:
    """Path on Keras' server and file name; one file serves all image sizes."""
    return _locate("large", width)


def _locate(kind: str, width: float) -> tuple[str, str]:
    name = f"weights_mobilenet_v3_{kind}_224_{float(width)}_float_no_top_v2.h5"
    return f"tensorflow/keras-applications/mobilenet_v3/{name}", name


MOBILENET_V3_SMALL = Backbone(
    name="mobilenet_v3_small",
    build=build_small,
    channels="its alpha",
    early="expanded_conv_2_add",
    widths=_WIDTHS,
    cut="expanded_conv_9_add",
    weights=KerasWeights(locate_small, digests=_DIGESTS),
    min_size=32,
)
MOBILENET_V3_LARGE = Backbone(
    name="mobilenet_v3_large",
    build=build_large,
    channels="its alpha",
    early="expanded_conv_5_add",
    widths=_WIDTHS,
    cut="expanded_conv_13_add",
    weights=KerasWeights(locate_large, digests=_DIGESTS),
    min_size=32,
)

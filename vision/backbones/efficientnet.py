"""EfficientNet-B0 and B4 (Tan and Le 2019), as `keras.applications` builds them."""

from __future__ import annotations

from typing import Any

from vision.backbones.declaration import Backbone, KerasWeights

_DIGESTS = {
    "efficientnetb0_notop.h5": "50bc09e76180e00e4465e1a485ddc09d",
    "efficientnetb4_notop.h5": "ebc24e6d6c33eaebbd558eafbeedf1ba",
}


def build_b0(image: Any, _width: float) -> Any:
    """The feature map, a 32nd of the image's side, 1,280 channels; it scales by itself."""
    import keras

    return keras.applications.EfficientNetB0(include_top=False, weights=None, input_tensor=image).output


def build_b4(image: Any, _width: float) -> Any:
    """The feature map, a 32nd of the image's side, 1,792 channels; it scales by itself."""
    import keras

    return keras.applications.EfficientNetB4(include_top=False, weights=None, input_tensor=image).output


def locate_b0(_width: float, _image_size: int) -> tuple[str, str]:
    """Path on Keras' server and file name."""
    return "keras-applications/efficientnetb0_notop.h5", "efficientnetb0_notop.h5"


def locate_b4(_width: float, _image_size: int) -> tuple[str, str]:
    """Path on Keras' server and file name."""
    return "keras-applications/efficientnetb4_notop.h5", "efficientnetb4_notop.h5"


def fold_stem_scaling(network: Any) -> None:
    """Divide once more by the square root of ImageNet's deviations, as EfficientNet's weights expect.

    `keras.applications` adds a layer for it, but only for weights='imagenet'; folded into the variance of
    the normalisation it needs none. Statistics that were never adapted (mean 0) are left alone.
    """
    import numpy as np
    from keras import layers

    normalise = next(each for each in network.layers if isinstance(each, layers.Normalization))
    mean, variance, count = normalise.get_weights()
    if not np.any(mean):
        return
    deviations = np.array([0.229, 0.224, 0.225], dtype=variance.dtype)
    normalise.set_weights([mean, variance * deviations, count])
    normalise.finalize_state()


EFFICIENTNET_B0 = Backbone(
    name="efficientnet_b0",
    build=build_b0,
    channels="1 alone",
    early="block3b_add",
    widths=(1.0,),
    cut="block6d_add",
    weights=KerasWeights(locate_b0, fold_stem_scaling, _DIGESTS),
    min_size=32,
)
EFFICIENTNET_B4 = Backbone(
    name="efficientnet_b4",
    build=build_b4,
    channels="1 alone",
    early="block3d_add",
    widths=(1.0,),
    cut="block6h_add",
    weights=KerasWeights(locate_b4, fold_stem_scaling, _DIGESTS),
    min_size=32,
)

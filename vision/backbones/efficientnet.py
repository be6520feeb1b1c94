"""EfficientNet-B0 (Tan and Le 2019), as `keras.applications` builds it."""

from __future__ import annotations

from typing import Any

from vision.backbones.declaration import Backbone, KerasWeights


def build(image: Any, _width: float) -> Any:
    """The feature map, a 32nd of the image's side, 1,280 channels; it scales by itself."""
    import keras

    return keras.applications.EfficientNetB0(include_top=False, weights=None, input_tensor=image).output


def locate_weights(_width: float, _image_size: int) -> tuple[str, str]:
    """Path on Keras' server and file name."""
    return "keras-applications/efficientnetb0_notop.h5", "efficientnetb0_notop.h5"


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
    build=build,
    channels="1 alone",
    early="block3b_add",
    widths=(1.0,),
    cut="block6d_add",
    weights=KerasWeights(locate_weights, fold_stem_scaling),
)

"""EfficientNet-B0 and B4 (Tan and Le 2019), EfficientNetV2-B0 (Tan and Le 2021)."""

from __future__ import annotations

from typing import Any

from vision.backbones.applications import declare


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


EFFICIENTNET_B0 = declare(
    "efficientnet_b0",
    "EfficientNetB0",
    "keras-applications/efficientnetb0_notop.h5",
    early="block3b_add",
    cut="block6d_add",
    digests={"efficientnetb0_notop.h5": "50bc09e76180e00e4465e1a485ddc09d"},
    adapt=fold_stem_scaling,
)
EFFICIENTNET_B4 = declare(
    "efficientnet_b4",
    "EfficientNetB4",
    "keras-applications/efficientnetb4_notop.h5",
    early="block3d_add",
    cut="block6h_add",
    digests={"efficientnetb4_notop.h5": "ebc24e6d6c33eaebbd558eafbeedf1ba"},
    adapt=fold_stem_scaling,
)
EFFICIENTNET_V2_B0 = declare(
    "efficientnet_v2_b0",
    "EfficientNetV2B0",
    "tensorflow/keras-applications/efficientnet_v2/efficientnetv2-b0_notop.h5",
    early="block4b_add",
    cut="block6g_add",
    digests={"efficientnetv2-b0_notop.h5": "893217f2bb855e2983157299931e43ff"},
)

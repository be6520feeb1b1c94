"""MobileNetV2 (Sandler et al. 2018) and MobileNetV3, small and large (Howard et al. 2019)."""

from __future__ import annotations

from vision.backbones.applications import declare
from vision.backbones.blocks import scale_input

_V3 = "tensorflow/keras-applications/mobilenet_v3/weights_mobilenet_v3"

MOBILENET_V2 = declare(
    "mobilenet_v2",
    "MobileNetV2",
    "tensorflow/keras-applications/mobilenet_v2/"
    "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{width}_{size}_no_top.h5",
    early="block_5_add",
    cut="block_15_add",
    widths=(0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
    sizes=(96, 128, 160, 192, 224),
    scale=scale_input,
)
MOBILENET_V3_SMALL = declare(
    "mobilenet_v3_small",
    "MobileNetV3Small",
    _V3 + "_small_224_{width}_float_no_top_v2.h5",
    early="expanded_conv_2_add",
    cut="expanded_conv_9_add",
    widths=(0.75, 1.0),
    digests={
        "weights_mobilenet_v3_small_224_0.75_float_no_top_v2.h5": "ebdb5cc8e0b497cd13a7c275d475c819",
        "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5": "d3e8ec802a04aa4fc771ee12a9a9b836",
    },
)
MOBILENET_V3_LARGE = declare(
    "mobilenet_v3_large",
    "MobileNetV3Large",
    _V3 + "_large_224_{width}_float_no_top_v2.h5",
    early="expanded_conv_5_add",
    cut="expanded_conv_13_add",
    widths=(0.75, 1.0),
    digests={
        "weights_mobilenet_v3_large_224_0.75_float_no_top_v2.h5": "40af19a13ebea4e2ee0c676887f69a2e",
        "weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5": "07fb09a5933dd0c8eaafa16978110389",
    },
)

"""ConvNeXt-Tiny (Liu et al. 2022); no `cut`: the sums between its blocks have no names that stay."""

from __future__ import annotations

from vision.backbones.applications import declare
from vision.backbones.declaration import NO_GELU

CONVNEXT_TINY = declare(
    "convnext_tiny",
    "ConvNeXtTiny",
    "tensorflow/keras-applications/convnext/convnext_tiny_notop.h5",
    early="convnext_tiny_stage_2_block_0_depthwise_conv",
    cut=None,
    digests={"convnext_tiny_notop.h5": "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1"},
    refused={
        "int8": "its int8 graph takes about 4 s an image where fp32 takes a fraction of that",
        "onnx": NO_GELU,
    },
)

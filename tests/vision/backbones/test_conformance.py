"""What every backbone has to be, asked of each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.shared_data import REPOSITORY
from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.backbones import BACKBONES
from vision.backbones.declaration import Backbone, KerasWeights
from vision.base.outputs import ModelFile
from vision.bundle.engine import Engine
from vision.config.export import GraphSettings, Precision
from vision.config.training import CandidateSettings
from vision.training.nets.export import export_graphs
from vision.training.nets.models import EMBEDDING, build_model, early_statistics, fix_batch_norm
from vision.training.weights import imagenet_file

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]

SIZE, NUM_CLASSES = 64, 3
EACH = pytest.mark.parametrize("backbone", BACKBONES.values(), ids=lambda each: each.name)


def settings_of(backbone: Backbone) -> CandidateSettings:
    """The smallest form of a backbone, with whatever weights it can have."""
    width = min(backbone.widths) if backbone.widths else 0.25
    weights = "none" if backbone.weights is None else "auto"
    return CandidateSettings(backbone=backbone.name, width=width, weights=weights, dropout=0.0)


def make(backbone: Backbone) -> keras.Model:
    """It, untrained."""
    keras.utils.set_random_seed(1)
    return build_model(settings_of(backbone), NUM_CLASSES, SIZE)


IMAGES = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)


def test_no_keras_is_imported_to_know_them() -> None:
    code = "import sys, vision.backbones; sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0


@EACH
def test_images_become_logits_through_an_embedding_and_a_model_file_gives_the_same(
    backbone: Backbone, tmp_path: Path
) -> None:
    model = make(backbone)
    logits = model.predict(IMAGES.astype(np.float32), verbose=0)
    assert logits.shape == (4, NUM_CLASSES)
    assert np.isfinite(logits).all()
    assert len(model.get_layer(EMBEDDING).output.shape) == 2
    if backbone.cut is not None:
        assert model.get_layer(backbone.cut).output is not None
    path = tmp_path / ModelFile.FILE_NAME
    model.save(path)
    again = keras.models.load_model(path, compile=False).predict(IMAGES.astype(np.float32), verbose=0)
    np.testing.assert_array_equal(again, logits)


@EACH
def test_early_statistics_are_mean_and_deviation_of_each_channel_of_a_layer_of_the_backbone(
    backbone: Backbone,
) -> None:
    model = make(backbone)
    layer = model.get_layer(backbone.early).output
    both = keras.Model(model.input, [layer, early_statistics(model)])
    features, early = both.predict(IMAGES.astype(np.float32), verbose=0)
    assert features.shape[1] > 1
    expected = np.concatenate([features.mean(axis=(1, 2)), features.std(axis=(1, 2))], axis=1)
    np.testing.assert_allclose(early, expected, rtol=1e-3, atol=1e-5)


@EACH
def test_frozen_layers_and_their_statistics_stay_as_they_are(backbone: Backbone) -> None:
    model = make(backbone)
    for layer in model.layers[:-1]:
        layer.trainable = False
    fix_batch_norm(model)
    before = [weight.copy() for layer in model.layers[:-1] for weight in layer.get_weights()]
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(IMAGES.astype(np.float32), np.array([0, 1, 2, 0]), verbose=0)
    after = [weight for layer in model.layers[:-1] for weight in layer.get_weights()]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.long
@EACH
def test_the_exported_graph_answers_alike_and_has_a_class_activation_map(
    backbone: Backbone, tmp_path: Path
) -> None:
    model = make(backbone)
    path = tmp_path / ModelFile.FILE_NAME
    model.save(path)
    file = ModelFile(
        root=tmp_path,
        files={},
        candidate="toy",
        backbone=backbone.name,
        num_parameters=model.count_params(),
        embedding_width=int(model.get_layer(EMBEDDING).output.shape[1]),
    )
    settings = GraphSettings(precisions=(Precision.FP32,))
    graphs = export_graphs(file, IMAGES, np.arange(4), settings, tmp_path / "graphs")
    assert graphs.unusable == {}
    forward = Engine(graphs.path(graphs.file_name(Precision.FP32))).forward(IMAGES)
    expected = model.predict(IMAGES.astype(np.float32), verbose=0)
    np.testing.assert_allclose(forward.logits, expected, atol=1e-3)
    assert forward.embeddings.shape == (4, file.embedding_width)
    assert forward.early is not None
    assert forward.early.shape == (4, early_statistics(model).shape[1])
    assert forward.cam is not None
    assert forward.cam.shape[0] == 4
    assert forward.cam.shape[-1] == NUM_CLASSES


@EACH
def test_what_a_configuration_may_say_follows_from_the_declaration(backbone: Backbone) -> None:
    if backbone.weights is None:
        with pytest.raises(ValueError, match="trained from scratch"):
            CandidateSettings(backbone=backbone.name, weights="auto")
    elif isinstance(backbone.weights, KerasWeights):
        source, name = imagenet_file(settings_of(backbone), 96)
        assert source.endswith(name)
    if backbone.widths is not None:
        with pytest.raises(ValueError, match="has the widths"):
            CandidateSettings(backbone=backbone.name, weights="auto", width=0.123)


def test_a_backbone_that_does_not_exist_is_told_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean mobilenet_v2"):
        CandidateSettings(backbone="mobilenet_v3")

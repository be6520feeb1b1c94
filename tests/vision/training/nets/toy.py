"""Tiny networks on tiny images: three classes of coloured squares, learnt in seconds, made once a run."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.toys import make_once
from vision.backbones import BACKBONES, cnn
from vision.base.outputs import ModelFile
from vision.base.record import ImageArray
from vision.bundle.records import ExportedGraphs
from vision.config.augment import AugmentSettings
from vision.config.export import ExportSettings, GraphSettings, Precision
from vision.config.training import UNREAD, CandidateSettings, Strategy
from vision.data.records import Split, Splits
from vision.training.records import TrainingHistory

SIZE = 32
NAMES = ("blue", "green", "red")
KERAS_WARNINGS = pytest.mark.filterwarnings(
    # Keras 3.15 converts TensorFlow variables by np.array(x, copy=False), which NumPy 2 frowns upon.
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
TFLITE = (Precision.FP32, Precision.FP16, Precision.INT8)
QUIET = AugmentSettings(flip=True, translation=0.05, rotation_degrees=5.0, zoom=0.05)


@cache
def make_images() -> tuple[ImageArray, Splits]:
    """72 images (72, 32, 32, 3) of three classes, two of each group, in train, validation and calibration."""
    rng = np.random.default_rng(5)
    labels = np.repeat(np.arange(3), 24)
    images = rng.integers(0, 90, (72, SIZE, SIZE, 3))
    for image, label in zip(images, labels, strict=True):
        top, left = rng.integers(2, 12, 2)
        image[top : top + 16, left : left + 16, 2 - label] += 150
    parts = [Split.TRAIN] * 14 + [Split.VALIDATION] * 6 + [Split.CALIBRATION] * 4
    return images.astype(np.uint8), Splits(
        class_names=NAMES,
        digests=tuple(f"{i:02d}" for i in range(72)),
        groups=tuple(f"group{i // 2}" for i in range(72)),
        image_classes=tuple(NAMES[label] for label in labels),
        splits=tuple(parts * 3),
    )


def shrink_mobilenet() -> dict[str, object]:
    """Make MobileNetV2 four convolutions, for trainings that would be alike with all of it; what it was."""
    declared = vars(BACKBONES["mobilenet_v2"])
    before = dict(declared)
    declared |= {
        "build": lambda image, _width: cnn.build(image, 0.125),
        "cut": "block3_relu",
        "early": "block2_relu",
    }
    return before


def tiny_settings(**changes: object) -> CandidateSettings:
    """A residual network of four channels for two epochs, of what its strategy reads."""
    settings: dict[str, object] = {
        "backbone": "cnn_residual",
        "strategy": Strategy.FULL,
        "width": 0.125,
        "epochs": 2,
        "batch_size": 8,
        "learning_rate": 0.01,
        "augment": QUIET,
    }
    unread = UNREAD[Strategy(str(changes.get("strategy", Strategy.FULL)))]
    read = {name: value for name, value in settings.items() if name not in unread}
    if changes.get("backbone") == "efficientnet_b0":
        del read["width"]  # it has one width
    return CandidateSettings.model_validate({**read, **changes})


@cache
def train_tiny() -> tuple[ModelFile, TrainingHistory]:
    """A residual network that tells the three colours apart."""

    def make(folder: Path) -> tuple[ModelFile, TrainingHistory]:
        from vision.training.nets.fitting.fit import train_candidate
        from vision.training.nets.fitting.state import TrainingInputs

        images, splits = make_images()
        inputs = TrainingInputs("tiny", tiny_settings(epochs=8), images, splits, 3)
        model, _, history = train_candidate(inputs, folder)
        return model, history

    return make_once("tiny", make)


@cache
def export_tiny() -> ExportedGraphs:
    """Its three graphs."""

    def make(folder: Path) -> ExportedGraphs:
        from vision.training.nets.export import export_graphs

        images, splits = make_images()
        settings = GraphSettings(precisions=TFLITE, num_calibration_images=16)
        return export_graphs(train_tiny()[0], images, splits.rows(Split.TRAIN), settings, folder)

    return make_once("graphs", make)


@cache
def export_tiny_onnx() -> ExportedGraphs:
    """The graphs of `export.onnx: true`."""
    pytest.importorskip("tf2onnx", reason="pip install -r requirements-extras.txt")
    pytest.importorskip("onnxruntime", reason="pip install -r requirements-extras.txt")

    def make(folder: Path) -> ExportedGraphs:
        from vision.training.nets.export import export_graphs

        images, splits = make_images()
        settings = ExportSettings(onnx=True).graphs()
        return export_graphs(train_tiny()[0], images, splits.rows(Split.TRAIN), settings, folder)

    return make_once("onnx", make)

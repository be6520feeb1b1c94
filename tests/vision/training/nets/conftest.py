"""Random no_top weights, written once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keras
import pytest

from tests.vision.training.nets.toy import shrink_mobilenet
from vision.backbones import BACKBONES
from vision.training.nets.seeding import seeded


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random MobileNetV2 0.35 weights."""
    path = tmp_path_factory.mktemp("weights") / "no_top.weights.h5"
    with seeded(1):
        net = keras.applications.MobileNetV2(
            include_top=False, weights=None, alpha=0.35, input_shape=(32, 32, 3)
        )
        net.save_weights(path)
    return path


@pytest.fixture
def small_weights(tmp_path: Path) -> Iterator[Path]:
    """A file of random weights of the four convolutions that MobileNetV2 is meanwhile."""
    before = shrink_mobilenet()
    path = tmp_path / "small.weights.h5"
    with seeded(1):
        image = keras.Input((32, 32, 3))
        keras.Model(image, BACKBONES["mobilenet_v2"].build(image, 0.35)).save_weights(path)
    yield path
    vars(BACKBONES["mobilenet_v2"]).update(before)

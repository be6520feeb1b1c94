"""Random no_top weights, written once."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest

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

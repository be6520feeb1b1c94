"""What is measured is each graph's own time."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.vision.training.nets.toy import KERAS_WARNINGS, SIZE, TFLITE, export_tiny
from vision.base.outputs import Forward
from vision.base.record import ImageArray
from vision.bundle.engine import Engine
from vision.bundle.speed import time_engines
from vision.config.export import Precision


@pytest.mark.slow
@KERAS_WARNINGS
def test_every_graph_is_timed_and_a_slow_one_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    engines = {each: Engine.of(export_tiny(), each) for each in TFLITE}
    plain = engines[Precision.INT8].forward

    def slowly(images: ImageArray) -> Forward:
        time.sleep(0.02)
        return plain(images)

    monkeypatch.setattr(engines[Precision.INT8], "forward", slowly)
    times = time_engines(engines, np.zeros((2, SIZE, SIZE, 3), np.uint8), rounds=5)
    assert times[Precision.INT8] > times[Precision.FP16] + 15
    assert times[Precision.FP16] > 0
    assert list(times) == list(TFLITE)

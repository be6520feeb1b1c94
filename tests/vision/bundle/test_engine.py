"""The engine gives every caller his own answer, and the heat map adds up to the logits."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.vision.training.nets.toy import KERAS_WARNINGS, SIZE, export_tiny, make_images
from vision.base.errors import BundleError
from vision.bundle.engine import Engine, run_engine
from vision.config.export import Precision


class TestGraphs:
    pytestmark: ClassVar = [pytest.mark.slow, KERAS_WARNINGS]

    def test_threads_that_share_an_engine_get_their_own_answers(self) -> None:
        images, _ = make_images()
        engine = Engine.of(export_tiny(), Precision.FP16)
        expected = [engine.forward(images[i : i + 1 + i % 3]).logits for i in range(60)]
        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(engine.forward, images[i : i + 1 + i % 3]) for i in range(60)]
            for job, logits in zip(jobs, expected, strict=True):
                assert_allclose(job.result().logits, logits, atol=1e-5)

    def test_logits_are_the_mean_of_the_heat_map_plus_bias(self) -> None:
        images, _ = make_images()
        engine = Engine.of(export_tiny(), Precision.FP32)
        forward = engine.forward(images[:5])
        kernel, bias = engine.read_head()
        assert forward.cam is not None
        assert forward.cam.shape == (5, 2, 2, 3)
        assert_allclose(forward.cam.mean(axis=(1, 2)) + bias, forward.logits, atol=1e-4)
        assert_allclose(forward.embeddings @ kernel + bias, forward.logits, atol=1e-4)

    def test_any_number_of_images_is_answered_none_included(self) -> None:
        images, _ = make_images()
        engine = Engine.of(export_tiny(), Precision.FP32)
        assert engine.forward(images[:0]).logits.shape == (0, 3)
        together = engine.forward(images[:7]).logits
        singly = np.concatenate([engine.forward(images[i : i + 1]).logits for i in range(7)])
        assert_allclose(together, singly, atol=1e-5)
        assert run_engine(engine, images, np.zeros(0, np.int64)).embeddings.shape == (0, 32)

    def test_images_of_another_size_or_type_are_refused(self) -> None:
        engine = Engine.of(export_tiny(), Precision.FP32)
        with pytest.raises(ValueError, match=rf"expected uint8 \(n, {SIZE}, {SIZE}, 3\)"):
            engine.forward(np.zeros((1, 16, 16, 3), np.uint8))
        with pytest.raises(ValueError, match="float32"):
            engine.forward(np.zeros((1, SIZE, SIZE, 3), np.float32))

    def test_an_engine_without_head_says_so(self) -> None:
        engine = Engine(export_tiny().path("fp32.tflite"))
        with pytest.raises(BundleError, match=r"without head\.npz"):
            engine.read_head()


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fp16.tflite"
    path.write_bytes(b"no graph")
    with pytest.raises(BundleError, match="no TFLite graph that can be loaded"):
        Engine(path)
    with pytest.raises(BundleError, match="no TFLite graph"):
        Engine(tmp_path / "absent.tflite")


def test_an_onnx_file_that_is_no_graph_and_an_absent_runtime_are_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime", reason="pip install -r requirements-extras.txt")
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(BundleError, match="no ONNX graph that can be loaded"):
        Engine(path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BundleError, match=r"needs ONNX Runtime.*requirements-extras\.txt"):
        Engine(path)

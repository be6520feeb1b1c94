"""Arrays come back bit by bit, and altered ones are refused."""

from pathlib import Path

import numpy as np
import pytest

from materializers import (
    ArraysMaterializer,
)
from tests.materializers.stored import outputs, store
from vision.base.errors import StorageError
from vision.base.outputs import ModelOutputs
from vision.decision.records import OodDetector
from vision.drift.window import Window


def test_outputs_come_back_bit_by_bit_and_as_the_same_bytes(tmp_path: Path) -> None:
    loaded = store(ArraysMaterializer, outputs(), tmp_path / "a").load(ModelOutputs)
    for name in ("rows", "logits", "embeddings", "quality", "kernel", "bias"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(outputs(), name), strict=True)
    store(ArraysMaterializer, outputs(), tmp_path / "b")
    assert (tmp_path / "a" / "arrays.npz").read_bytes() == (tmp_path / "b" / "arrays.npz").read_bytes()


def test_a_window_of_answers_comes_back_bit_by_bit_also_without_answers(tmp_path: Path) -> None:
    for num in (0, 3):
        window = Window(
            embeddings=np.arange(2 * num, dtype=np.float16).reshape(num, 2),
            quality=np.ones((num, 1), np.float32),
            logits=np.ones((num, 2), np.float32),
            called_unknown=np.arange(num) > 1,
            clients=np.array(["a", "a", "b"][:num], np.str_),
            groups=np.array(["a/1", "", "b/1"][:num], np.str_),
            times=np.arange(num, dtype=float),
        )
        materializer = store(ArraysMaterializer, window, tmp_path / str(num))
        loaded = materializer.load(Window)
        for name, values in vars(window).items():
            np.testing.assert_array_equal(getattr(loaded, name), values, strict=True)
    described = materializer.extract_metadata(window)
    assert described == {"num_answers": 3, "num_ungrouped": 1, "num_clients": 2}


def test_altered_arrays_are_refused_by_the_recorded_hash(tmp_path: Path) -> None:
    reader = store(ArraysMaterializer, outputs(), tmp_path)
    reader.expected_content_hash = reader.compute_content_hash(outputs())
    assert len(reader.load(ModelOutputs).rows) == 6
    store(ArraysMaterializer, outputs(7), tmp_path)
    with pytest.raises(StorageError, match="altered or cut short"):
        reader.load(ModelOutputs)


def test_array_of_python_objects_is_refused(tmp_path: Path) -> None:
    detector = OodDetector(score_name="fwk", arrays={"mean": np.array([{}], dtype=object)})
    with pytest.raises(StorageError, match="Python objects"):
        store(ArraysMaterializer, detector, tmp_path)

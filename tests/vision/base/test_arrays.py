"""Array files are the same for the same arrays, execute nothing, and need no graph to be read."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from vision.base.arrays import pack_arrays, unpack_arrays
from vision.base.errors import BundleError


def test_equal_arrays_give_equal_bytes_and_come_back(tmp_path: Path) -> None:
    arrays = {"b": np.arange(6.0).reshape(2, 3), "a": np.array([1], np.int32)}
    content = pack_arrays(arrays)
    assert content == pack_arrays(dict(reversed(arrays.items())))
    (tmp_path / "x.npz").write_bytes(content)
    stored = unpack_arrays(tmp_path / "x.npz")
    assert sorted(stored) == ["a", "b"]
    assert_array_equal(stored["b"], arrays["b"])


def test_python_objects_in_an_array_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, a=np.array([{"run": "me"}], dtype=object))
    with pytest.raises(BundleError, match="cannot be read as arrays"):
        unpack_arrays(path)

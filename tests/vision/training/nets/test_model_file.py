"""Networks are written whole, from memory: HDF5 never writes to a disk that may be full."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path

import h5py  # type: ignore[import-untyped]
import keras
import numpy as np
import pytest

from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.base.errors import StorageError
from vision.training.nets.model_file import save_model, save_weights
from vision.training.nets.seeding import seeded

pytestmark = KERAS_WARNINGS

WRITERS = pytest.mark.parametrize(
    ("save", "name"), [(save_model, "model.keras"), (save_weights, "model.weights.h5")]
)
Save = Callable[[keras.Model, Path], None]


def make_network() -> keras.Model:
    with seeded(3):
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)])


@WRITERS
def test_what_is_written_loads_and_is_the_same_bytes_again(save: Save, name: str, tmp_path: Path) -> None:
    model, path = make_network(), tmp_path / "new" / name
    save(model, path)
    content = path.read_bytes()
    save(model, path)
    assert path.read_bytes() == content
    assert [each.name for each in path.parent.iterdir()] == [name]
    other = keras.models.clone_model(model)
    other.load_weights(path)
    for loaded, own in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(loaded, own)


@WRITERS
def test_a_full_disk_keeps_the_old_file_and_is_met_by_no_writer_of_hdf5(
    save: Save, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, path = make_network(), tmp_path / name
    path.write_bytes(b"old")
    opened: list[object] = []

    class Watched(h5py.File):  # type: ignore[misc]  # it has no types
        def __init__(self, file: object, *args: object, **options: object) -> None:
            opened.append(file)
            super().__init__(file, *args, **options)

    def fill(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(h5py, "File", Watched)
    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(StorageError, match="No space is left"):
        save(model, path)
    assert opened
    assert all(isinstance(file, io.BytesIO) for file in opened)
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == [name]

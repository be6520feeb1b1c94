"""Files of networks are whole or absent, and the same bytes for the same network.

A .keras file is a zip archive that holds the date of saving and where objects lay in memory; both are taken
out, so that equal weights give equal digests. Everything is made in memory and written at once: where HDF5
itself writes to a disk that fills up, it ends the process with a segmentation fault.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import keras

from vision.base.files import write_atomically

_EPOCH = (1980, 1, 1, 0, 0, 0)
_METADATA = "metadata.json"
_CONFIG = "config.json"


def save_model(model: keras.Model, path: Path) -> None:
    """Write a .keras file whose bytes depend on the network alone.

    Raises:
        StorageError: it could not be written.
    """
    saved = _Memory(".keras")
    model.save(saved)
    write_atomically(path, _normalise_archive(saved))


def save_weights(model: keras.Model, path: Path) -> None:
    """Write all weights of a network to a `.weights.h5` file; StorageError if it could not be written."""
    saved = _Memory(".weights.h5")
    model.save_weights(saved)
    write_atomically(path, saved.getvalue())


class _Memory(io.BytesIO):
    """A file in memory; Keras reads off the ending of its name, as text, which format is wanted."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def __str__(self) -> str:
        return self._name


def _normalise_archive(file: io.BytesIO) -> bytes:
    with zipfile.ZipFile(file) as archive:
        contents = {name: archive.read(name) for name in sorted(archive.namelist())}
    metadata = json.loads(contents[_METADATA])
    metadata["date_saved"] = "1980-01-01@00:00:00"
    contents[_METADATA] = json.dumps(metadata, sort_keys=True).encode()
    contents[_CONFIG] = json.dumps(_without_addresses(json.loads(contents[_CONFIG]))).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    return buffer.getvalue()


def _without_addresses(node: Any) -> Any:
    """The configuration without `shared_object_id`, which is where an object happened to lie in memory."""
    if isinstance(node, dict):
        return {key: _without_addresses(each) for key, each in node.items() if key != "shared_object_id"}
    if isinstance(node, list):
        return [_without_addresses(each) for each in node]
    return node

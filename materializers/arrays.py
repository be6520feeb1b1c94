"""Arrays are stored as one uncompressed .npz without pickle: the same arrays give the same bytes."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from zenml.enums import ArtifactType
from zenml.materializers.base_materializer import BaseMaterializer

from vision.base.errors import StorageError
from vision.base.files import storage_errors
from vision.base.outputs import ArrayValue

ARRAYS_NAME = "arrays.npz"

Arrays = Mapping[str, NDArray[Any]]


class ArraysMaterializer(BaseMaterializer):
    """Stores any `vision.base.outputs.ArrayValue`."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (ArrayValue,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def save(self, data: ArrayValue) -> None:
        """Write the arrays.

        Raises:
            StorageError: the artifact store refuses.
        """
        write_arrays(self, data.to_arrays())

    def load(self, data_type: type[ArrayValue]) -> ArrayValue:
        """Read the arrays.

        Raises:
            StorageError: the artifact store refuses, or the arrays are not those that were stored.
        """
        return data_type.from_arrays(read_arrays(self))

    def extract_metadata(self, data: ArrayValue) -> dict[str, Any]:
        """Sizes, as the value describes itself."""
        return dict(data.describe())

    def compute_content_hash(self, data: ArrayValue) -> str:
        """SHA-256 over names, types, shapes and values."""
        return hash_arrays(data.to_arrays())


def write_arrays(materializer: BaseMaterializer, arrays: Arrays) -> None:
    """Write named arrays into the artifact's folder; StorageError if an array holds Python objects."""
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise StorageError(f"Array {name} holds Python objects; expected numbers or text of fixed width.")
    buffer = io.BytesIO()
    np.savez(buffer, **{name: arrays[name] for name in sorted(arrays)})  # type: ignore[arg-type]
    with (
        storage_errors(materializer.uri),
        materializer.artifact_store.open(f"{materializer.uri}/{ARRAYS_NAME}", "wb") as file,
    ):
        file.write(buffer.getbuffer())


def read_arrays(materializer: BaseMaterializer) -> dict[str, NDArray[Any]]:
    """The named arrays in the artifact's folder, checked against the recorded content hash if any."""
    uri = f"{materializer.uri}/{ARRAYS_NAME}"
    with storage_errors(materializer.uri, "read"), materializer.artifact_store.open(uri, "rb") as file:
        content = io.BytesIO(file.read())
    try:
        with np.load(content, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise StorageError(_altered(uri)) from error
    expected = materializer.expected_content_hash
    if expected is not None and hash_arrays(arrays) != expected:
        raise StorageError(_altered(uri))
    return arrays


def hash_arrays(arrays: Arrays) -> str:
    """SHA-256 over names, types, shapes and values of named arrays, hexadecimal; order does not count."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}\0{array.dtype.str}\0{arrays[name].shape}\0".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _altered(uri: str) -> str:
    return (
        f"{uri} does not hold the arrays that were stored there; the file was altered or cut short. "
        "Delete the artifact and run the pipeline again."
    )

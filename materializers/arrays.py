"""Arrays are stored as one uncompressed .npz without pickle: the same arrays give the same bytes."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from zenml.enums import ArtifactType
from zenml.materializers.base_materializer import BaseMaterializer

from vision.errors import StorageError
from vision.files import storage_errors
from vision.records import ModelOutputs, OodDetector
from vision.window import Window

ARRAYS_NAME = "arrays.npz"
SCORE_NAME = "score_name"
PREFIX = "array."

Arrays = Mapping[str, NDArray[Any]]


class OutputsMaterializer(BaseMaterializer):
    """Stores `ModelOutputs`: one array per field."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (ModelOutputs,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def save(self, data: ModelOutputs) -> None:
        """Write the arrays.

        Raises:
            StorageError: the artifact store refuses.
        """
        write_arrays(self, _arrays_of_outputs(data))

    def load(self, data_type: type[ModelOutputs]) -> ModelOutputs:
        """Read the arrays.

        Raises:
            StorageError: the artifact store refuses, or the arrays are not those that were stored.
        """
        return data_type(**read_arrays(self))

    def extract_metadata(self, data: ModelOutputs) -> dict[str, Any]:
        """Sizes: images, classes, embedding width."""
        return {
            "num_images": len(data.rows),
            "num_classes": int(data.logits.shape[1]),
            "embedding_width": int(data.embeddings.shape[1]),
        }

    def compute_content_hash(self, data: ModelOutputs) -> str:
        """SHA-256 over names, types, shapes and values."""
        return hash_arrays(_arrays_of_outputs(data))


class DetectorMaterializer(BaseMaterializer):
    """Stores an `OodDetector`: its arrays and the name of the score that decides."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (OodDetector,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.MODEL

    def save(self, data: OodDetector) -> None:
        """Write the arrays.

        Raises:
            StorageError: the artifact store refuses.
        """
        write_arrays(self, _arrays_of_detector(data))

    def load(self, data_type: type[OodDetector]) -> OodDetector:
        """Read the arrays.

        Raises:
            StorageError: the artifact store refuses, or the arrays are not those that were stored.
        """
        stored = read_arrays(self)
        arrays = {name.removeprefix(PREFIX): array for name, array in stored.items() if name != SCORE_NAME}
        return data_type(score_name=str(stored[SCORE_NAME]), arrays=arrays)

    def extract_metadata(self, data: OodDetector) -> dict[str, Any]:
        """The deciding score and the size of what it needs."""
        num_bytes = sum(array.nbytes for array in data.arrays.values())
        return {"score_name": data.score_name, "num_arrays": len(data.arrays), "num_bytes": num_bytes}

    def compute_content_hash(self, data: OodDetector) -> str:
        """SHA-256 over names, types, shapes and values."""
        return hash_arrays(_arrays_of_detector(data))


class WindowMaterializer(BaseMaterializer):
    """Stores a `Window` of answers: one array per field."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Window,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def save(self, data: Window) -> None:
        """Write the arrays.

        Raises:
            StorageError: the artifact store refuses.
        """
        write_arrays(self, vars(data))

    def load(self, data_type: type[Window]) -> Window:
        """Read the arrays.

        Raises:
            StorageError: the artifact store refuses, or the arrays are not those that were stored.
        """
        return data_type(**read_arrays(self))

    def extract_metadata(self, data: Window) -> dict[str, Any]:
        """Sizes: answers, those without a group, clients."""
        return {
            "num_answers": len(data.times),
            "num_ungrouped": int(data.ungrouped.sum()),
            "num_clients": len(set(data.clients.tolist())),
        }

    def compute_content_hash(self, data: Window) -> str:
        """SHA-256 over names, types, shapes and values."""
        return hash_arrays(vars(data))


def write_arrays(materializer: BaseMaterializer, arrays: Arrays) -> None:
    """Write named arrays into the artifact's folder; StorageError if an array holds Python objects."""
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise StorageError(f"Array {name} holds Python objects; expected numbers or text of fixed width.")
    buffer = io.BytesIO()
    np.savez(buffer, **{name: arrays[name] for name in sorted(arrays)})  # type: ignore[arg-type]
    with (
        storage_errors(Path(materializer.uri)),
        materializer.artifact_store.open(f"{materializer.uri}/{ARRAYS_NAME}", "wb") as file,
    ):
        file.write(buffer.getbuffer())


def read_arrays(materializer: BaseMaterializer) -> dict[str, NDArray[Any]]:
    """The named arrays in the artifact's folder, checked against the recorded content hash if any."""
    uri = f"{materializer.uri}/{ARRAYS_NAME}"
    with storage_errors(Path(materializer.uri), "read"), materializer.artifact_store.open(uri, "rb") as file:
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


def _arrays_of_outputs(outputs: ModelOutputs) -> dict[str, NDArray[Any]]:
    return {field.name: getattr(outputs, field.name) for field in fields(outputs)}


def _arrays_of_detector(detector: OodDetector) -> dict[str, NDArray[Any]]:
    arrays = {f"{PREFIX}{name}": array for name, array in detector.arrays.items()}
    return arrays | {SCORE_NAME: np.array(detector.score_name)}

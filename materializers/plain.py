"""Names, and outputs by name, with their digest: ZenML's own materializers load altered files in silence.

Both take the place of ZenML's materializers of the same types.
"""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from zenml.enums import ArtifactType
from zenml.materializers.base_materializer import BaseMaterializer
from zenml.materializers.materializer_registry import materializer_registry

from materializers.arrays import hash_arrays, read_arrays, write_arrays
from vision.base.errors import StorageError
from vision.base.files import storage_errors
from vision.base.outputs import ArrayValue

TEXT_NAME = "text.txt"


class TextMaterializer(BaseMaterializer):
    """Stores a text, such as the name of the winner."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (str,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def save(self, data: str) -> None:
        """Write the text.

        Raises:
            StorageError: the artifact store refuses.
        """
        with (
            storage_errors(self.uri),
            self.artifact_store.open(f"{self.uri}/{TEXT_NAME}", "wb") as file,
        ):
            file.write(data.encode())

    def load(self, data_type: type[str]) -> str:
        """Read the text.

        Raises:
            StorageError: the artifact store refuses, or the text is not the one that was stored.
        """
        uri = f"{self.uri}/{TEXT_NAME}"
        with storage_errors(self.uri, "read"), self.artifact_store.open(uri, "rb") as file:
            content: bytes = file.read()
        expected = self.expected_content_hash
        if expected is not None and hashlib.sha256(content).hexdigest() != expected:
            raise StorageError(
                f"{uri} does not hold the text that was stored there; the file was altered or cut short. "
                "Delete the artifact and run the pipeline again."
            )
        return data_type(content.decode())

    def extract_metadata(self, data: str) -> dict[str, Any]:
        """The text itself."""
        return {"text": data}

    def compute_content_hash(self, data: str) -> str:
        """SHA-256 of the text in UTF-8."""
        return hashlib.sha256(data.encode()).hexdigest()


class ArraysByNameMaterializer(BaseMaterializer):
    """Stores a dict from names to `vision.base.outputs.ArrayValue`s of one class as one `.npz`."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (dict,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def save(self, data: dict[str, ArrayValue]) -> None:
        """Write all arrays.

        Raises:
            StorageError: the artifact store refuses, or the dict holds something else.
        """
        write_arrays(self, _pack(data))

    def load(self, data_type: type[dict[str, ArrayValue]]) -> dict[str, ArrayValue]:
        """Read all arrays.

        Raises:
            StorageError: the artifact store refuses, or the arrays are not those that were stored.
        """
        return data_type(_unpack(read_arrays(self), self.uri))

    def extract_metadata(self, data: dict[str, ArrayValue]) -> dict[str, Any]:
        """Sizes, by name."""
        return {
            f"{name}_{key}": size for name, value in data.items() for key, size in value.describe().items()
        }

    def compute_content_hash(self, data: dict[str, ArrayValue]) -> str:
        """SHA-256 over class, names, types, shapes and values."""
        return hash_arrays(_pack(data))


for _key, _type in ((str, TextMaterializer), (dict, ArraysByNameMaterializer)):
    materializer_registry.register_and_overwrite_type(_key, _type)


def _pack(data: dict[str, ArrayValue]) -> dict[str, NDArray[Any]]:
    """The arrays of all values as `place.field`, the names in their order, and the class."""
    kinds = {type(value) for value in data.values()}
    if len(kinds) > 1 or not all(issubclass(each, ArrayValue) for each in kinds):
        raise StorageError(
            f"A dict of {', '.join(sorted(each.__name__ for each in kinds))} was to be stored; expected "
            "values of one class that is made of arrays."
        )
    packed: dict[str, NDArray[Any]] = {
        "names": np.array(list(data), dtype=np.str_),
        "kind": np.array([each.__name__ for each in kinds], dtype=np.str_),
    }
    for place, value in enumerate(data.values()):
        packed |= {f"{place}.{field}": array for field, array in value.to_arrays().items()}
    return packed


def _unpack(packed: dict[str, NDArray[Any]], uri: str) -> dict[str, ArrayValue]:
    known = {each.__name__: each for each in ArrayValue.__subclasses__()}
    kinds = packed["kind"].tolist()
    if not set(kinds) <= set(known):
        raise StorageError(
            f"{uri} holds {', '.join(kinds)}, which this version does not know. Delete the artifact and run "
            "the pipeline again."
        )
    values = {}
    for place, name in enumerate(packed["names"].tolist()):
        mark = f"{place}."
        fields = {
            field.removeprefix(mark): array for field, array in packed.items() if field.startswith(mark)
        }
        values[name] = known[kinds[0]].from_arrays(fields)
    return values

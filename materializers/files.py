"""Files cross steps with their digests: copied into the artifact store when saved, checked when loaded.

On a local store a loaded file set points into the store itself, so that nothing is copied twice.
"""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.materializers.base_materializer import BaseMaterializer

from materializers.records import describe_record, hash_record, read_record, save_views, write_record
from vision.base.errors import TaxonError
from vision.base.files import storage_errors
from vision.base.home import home_context
from vision.base.record import FileSet

CHUNK_BYTES = 1 << 20
FILES_FOLDER = "files"


class FilesMaterializer(BaseMaterializer):
    """Stores any `vision.base.record.FileSet`: `record.json` without `root`, the files in `files/`."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (FileSet,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.MODEL

    def save(self, data: FileSet) -> None:
        """Copy the files into the artifact store.

        Raises:
            BundleError or StorageError: a file is missing, or its bytes are not those of its digest.
            StorageError: the artifact store refuses.
        """
        with storage_errors(self.uri):
            for name, digest in data.files.items():
                target = self._uri_of(data, name)
                self.artifact_store.makedirs(target.rpartition("/")[0])
                with data.path(name).open("rb") as source, self.artifact_store.open(target, "wb") as sink:
                    arrived = copy_stream(source, sink)
                _check_digest(type(data), str(data.path(name)), arrived, digest)
            write_record(self, data)

    def load(self, data_type: type[FileSet]) -> FileSet:
        """The file set, every digest checked; `root` is a folder of the artifact, or a copy.

        Raises:
            BundleError or StorageError: a file is missing, or its bytes are not those of its digest.
            StorageError: the artifact store refuses, or the record is not the one that was stored.
        """
        with storage_errors(self.uri, "read"):
            root = self._local_root()
            data = data_type.model_validate(
                {**read_record(self, data_type), "root": root or self._new_folder()}, context=home_context()
            )
            for name, digest in data.files.items():
                arrived = self._digest_in_place(data, name) if root else self._fetch(data, name)
                _check_digest(data_type, self._uri_of(data, name), arrived, digest)
        return data

    def extract_metadata(self, data: FileSet) -> dict[str, Any]:
        """The record's scalars and the digest of the set."""
        return {**describe_record(data), "digest": data.digest, "num_files": len(data.files)}

    def compute_content_hash(self, data: FileSet) -> str:
        """SHA-256 over the fields and every file's digest; where the files lie does not count."""
        return hash_record(data)

    def save_visualizations(self, data: FileSet) -> dict[str, VisualizationType]:
        """Views of the file set, for the dashboard."""
        return save_views(self, data)

    def _local_root(self) -> Path | None:
        return Path(self.uri) / FILES_FOLDER if self.artifact_store.config.is_local else None

    def _new_folder(self) -> Path:
        with self.get_temporary_directory(delete_at_exit=False) as folder:
            return Path(folder)

    def _uri_of(self, data: FileSet, name: str) -> str:
        parts = PurePosixPath(name).parts
        if PurePosixPath(name).is_absolute() or ".." in parts or not parts:
            raise _error_type(type(data))(
                f"{type(data).__name__} names the file {name!r}; expected a relative name inside its folder."
            )
        return f"{self.uri}/{FILES_FOLDER}/{name}"

    def _digest_in_place(self, data: FileSet, name: str) -> str:
        with self._open(data, name) as file:
            return copy_stream(file, None)

    def _fetch(self, data: FileSet, name: str) -> str:
        target = data.path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._open(data, name) as source, target.open("wb") as sink:
            return copy_stream(source, sink)

    def _open(self, data: FileSet, name: str) -> Any:
        uri = self._uri_of(data, name)
        if not self.artifact_store.exists(uri):
            raise _error_type(type(data))(
                f"{uri} is missing; expected the files {', '.join(sorted(data.files))}. Restore the "
                "file, or delete the artifact and run the pipeline again."
            )
        return self.artifact_store.open(uri, "rb")


def copy_stream(source: Any, sink: Any | None) -> str:
    """Copy a stream in chunks; its SHA-256, hexadecimal. Without a sink only the digest is made."""
    digest = hashlib.sha256()
    while chunk := source.read(CHUNK_BYTES):
        digest.update(chunk)
        if sink is not None:
            sink.write(chunk)
    return digest.hexdigest()


def _check_digest(data_type: type[FileSet], place: str, arrived: str, expected: str) -> None:
    if arrived != expected:
        raise _error_type(data_type)(
            f"{place} has SHA-256 {arrived[:16]}..., expected {expected[:16]}...: the file was altered "
            "after it was made. Restore it, or delete the artifact and run the pipeline again."
        )


def _error_type(data_type: type[FileSet]) -> type[TaxonError]:
    return data_type.ERROR

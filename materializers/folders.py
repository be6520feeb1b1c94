"""The files of a folder go with the record that names it to steps on other machines, which share no disk.

Below the project's own artifact store the record is enough: its folder lies in the project. In a bucket, or
on a store that several machines share, the files lie beside the record; whoever loads it copies them into its
own project once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from zenml.enums import ArtifactType

from materializers.files import copy_stream
from materializers.records import RecordMaterializer
from vision.base.errors import StorageError
from vision.base.files import open_atomically, storage_errors
from vision.base.home import project_home
from vision.base.record import FolderRecord

DIGESTS_NAME = "files.json"


class FolderMaterializer(RecordMaterializer):
    """Stores any `vision.base.record.FolderRecord`; outside the project with the files of its folder."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (FolderRecord,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def save(self, data: FolderRecord) -> None:  # type: ignore[override]
        """Write the record, and copy the files into a store that other machines read.

        Raises:
            StorageError: the artifact store refuses, or a file is gone.
        """
        super().save(data)
        if self._is_outside():
            digests = {name: self._push(Path(data.path) / name) for name in data.FILES}
            with storage_errors(self.uri), self._open(DIGESTS_NAME, "w") as file:
                file.write(json.dumps(digests))

    def load(self, data_type: type[FolderRecord]) -> FolderRecord:  # type: ignore[override]
        """The record, the files of its folder on this machine's disk.

        Raises:
            StorageError: the artifact store refuses, the disk is full, or the files are not those stored.
        """
        data: FolderRecord = super().load(data_type)  # type: ignore[assignment]
        folder = Path(data.path)
        if self._is_outside() and not (folder / data.FILES[-1]).is_file():
            with storage_errors(self.uri, "read"), self._open(DIGESTS_NAME, "r") as file:
                digests = json.loads(file.read())
            for name in data.FILES:
                self._pull(name, folder, digests[name])
        return data

    def _push(self, path: Path) -> str:
        """Copy a file beside the record; its SHA-256."""
        with storage_errors(self.uri), path.open("rb") as source, self._open(path.name, "wb") as sink:
            return copy_stream(source, sink)

    def _pull(self, name: str, folder: Path, expected: str) -> None:
        """Copy a file into the folder; it appears whole or not at all, so that two may do it at once."""
        with (
            open_atomically(folder / name) as sink,
            storage_errors(self.uri, "read"),
            self._open(name, "rb") as source,
        ):
            if copy_stream(source, sink) != expected:
                raise StorageError(
                    f"{self.uri}/{name} does not hold what was stored there; it was altered or cut short. "
                    "Delete the artifact and run the pipeline again."
                )

    def _is_outside(self) -> bool:
        return not Path(self.uri).is_relative_to(project_home())

    def _open(self, name: str, mode: str) -> Any:
        return self.artifact_store.open(f"{self.uri}/{name}", mode)

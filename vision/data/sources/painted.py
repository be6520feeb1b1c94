"""The painted reef as a source: drawn into the data folder unless it lies there already."""

from __future__ import annotations

from pathlib import Path

from vision.base.errors import SourceError
from vision.config.data import ReefSource
from vision.data.manifest import build_manifest
from vision.data.records import Manifest
from vision.data.sources.declaration import Base, Progress, Source


def describe_reef(settings: ReefSource, data_folder: Path) -> tuple[str, Base]:
    """Digest of settings and painter, and the species."""
    from vision.data.sources.reef import reef_digest
    from vision.data.sources.reef.species import KNOWN_SPECIES, UNKNOWN_SPECIES

    digest = reef_digest(settings)
    held_out = UNKNOWN_SPECIES if settings.unknown_images_per_class else ()
    return digest, Base(_place(digest, data_folder), KNOWN_SPECIES, held_out)


def read_reef(settings: ReefSource, data_folder: Path, progress: Progress | None) -> Manifest:
    """Paint what is missing, and list it; SourceError if files are gone from a painted data set."""
    from vision.data.sources.reef import list_reef_files, paint_reef, reef_digest
    from vision.data.sources.reef.dataset import plan_reef

    digest = reef_digest(settings)
    folder = _place(digest, data_folder)
    paint_reef(settings, folder, progress=progress)
    files = list_reef_files(folder)
    expected = len(plan_reef(settings))
    if len(files) != expected:
        raise SourceError(
            f"{folder}: {len(files)} of {expected} painted files are there. Delete this folder and run "
            "again: it is painted anew."
        )
    return build_manifest(folder, files, digest, progress=progress)


def _place(digest: str, data_folder: Path) -> Path:
    return data_folder.resolve() / f"reef-{digest[:16]}"


REEF = Source(check=lambda _settings: None, describe=describe_reef, read=read_reef)

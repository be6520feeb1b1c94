"""A folder of the user's as a source."""

from __future__ import annotations

from pathlib import Path

from vision.config.data import FolderSource
from vision.data.manifest import build_manifest
from vision.data.records import Manifest
from vision.data.sources.declaration import Base, Progress, Source
from vision.data.sources.folder import digest_folder, find_source, list_folder


def describe_folder(settings: FolderSource, _data_folder: Path) -> tuple[str, Base]:
    """Digest of paths and bytes, and the classes that were found."""
    listing = list_folder(settings)
    known, held_out = (
        frozenset(file.class_name for file in listing.files if file.is_unknown == unknown)
        for unknown in (False, True)
    )
    return digest_folder(settings, listing), Base(settings.path.expanduser(), known, held_out)


def read_folder(settings: FolderSource, _data_folder: Path, progress: Progress | None) -> Manifest:
    """The manifest of the user's folder."""
    listing = list_folder(settings)
    return build_manifest(
        settings.path.expanduser(),
        listing.files,
        digest_folder(settings, listing),
        settings.max_megapixels,
        quarantined=listing.quarantined,
        remarks=listing.remarks,
        progress=progress,
    )


FOLDER = Source(check=find_source, describe=describe_folder, read=read_folder)

"""Where images come from; every source gives a manifest and a digest of its content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vision.config import FolderSource, ReefSource, SourceSettings
from vision.errors import SourceError
from vision.manifest import build_manifest
from vision.records import Manifest

Progress = Callable[[int, int], None]


def read_source(settings: SourceSettings, data_folder: Path, *, progress: Progress | None = None) -> Manifest:
    """The manifest of a source; a reef is painted into `data_folder` first, unless it is there.

    Args:
        settings: which source.
        data_folder: where painted data sets lie.
        progress: called with (files done, files in all).

    Raises:
        SourceError: no images where images were expected.
        StorageError: a painted data set could not be written.
    """
    if isinstance(settings, ReefSource):
        return _read_reef(settings, data_folder, progress)
    return _read_folder(settings, progress)


def digest_source(settings: SourceSettings, data_folder: Path) -> str:  # noqa: ARG001  a source may need it
    """SHA-256 of what a source holds now; equal to `read_source(...).source_digest`.

    For a folder, of the paths and bytes; for a reef, of settings and painter, which determine the bytes.

    Raises:
        SourceError: no images where images were expected.
    """
    if isinstance(settings, ReefSource):
        from vision.sources.reef import reef_digest

        return reef_digest(settings)
    from vision.sources.folder import digest_folder

    return digest_folder(settings)


def _read_folder(settings: FolderSource, progress: Progress | None) -> Manifest:
    from vision.sources.folder import digest_folder, list_folder

    listing = list_folder(settings)
    return build_manifest(
        settings.path.expanduser(),
        listing.files,
        digest_folder(settings, listing),
        settings.max_megapixels,
        quarantined=listing.quarantined,
        progress=progress,
    )


def _read_reef(settings: ReefSource, data_folder: Path, progress: Progress | None) -> Manifest:
    from vision.sources.reef import list_reef_files, paint_reef, reef_digest
    from vision.sources.reef.dataset import plan_reef

    digest = reef_digest(settings)
    folder = data_folder.resolve() / f"reef-{digest[:16]}"
    paint_reef(settings, folder, progress=progress)
    files = list_reef_files(folder)
    expected = len(plan_reef(settings))
    if len(files) != expected:
        raise SourceError(
            f"{folder}: {len(files)} of {expected} painted files are there. Delete this folder and run "
            "again: it is painted anew."
        )
    return build_manifest(folder, files, digest, progress=progress)

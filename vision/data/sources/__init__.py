"""Where images come from; every source gives a manifest and a digest of its content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vision.base.errors import SourceError
from vision.config.data import FolderSource, ReefSource, SourceSettings
from vision.data.manifest import build_manifest
from vision.data.records import Manifest

if TYPE_CHECKING:
    from vision.data.sources.folder import FolderListing

Progress = Callable[[int, int], None]


def read_source(settings: SourceSettings, data_folder: Path, *, progress: Progress | None = None) -> Manifest:
    """The manifest of a source and its additions; a reef is painted into `data_folder` unless it is there.

    Args:
        settings: which source.
        data_folder: where painted data sets lie.
        progress: called with (files done, files in all), for each part of the data anew.

    Raises:
        SourceError: no images where images were expected, or an addition that does not fit.
        StorageError: a painted data set could not be written.
    """
    if isinstance(settings, ReefSource):
        base = _read_reef(settings, data_folder, progress)
    else:
        base = _read_folder(settings, progress)
    if not settings.additions:
        return base
    from vision.data.sources.additions import Base, add_parts, list_parts

    fits_to = Base(Path(base.root), base.class_names, base.unknown_class_names)
    return add_parts(base, list_parts(settings.additions, fits_to), progress)


def check_source(settings: SourceSettings) -> None:
    """Find the folders of a source and of its additions without reading them.

    Raises:
        SourceError: one is missing, or no folder.
    """
    from vision.data.sources.folder import find_addition, find_source

    if isinstance(settings, FolderSource):
        find_source(settings)
    for addition in settings.additions:
        find_addition(addition)


def digest_source(settings: SourceSettings, data_folder: Path) -> str:
    """SHA-256 of what a source holds now; equal to `read_source(...).source_digest`.

    For a folder, of the paths and bytes; for a reef, of settings and painter, which determine the bytes. With
    additions, of the source's own digest and theirs.

    Raises:
        SourceError: no images where images were expected, or an addition that does not fit.
    """
    if isinstance(settings, ReefSource):
        return _digest_reef(settings, data_folder)
    return _digest_folder(settings)


def _digest_folder(settings: FolderSource) -> str:
    from vision.data.sources.folder import digest_folder, list_folder

    listing = list_folder(settings)
    digest = digest_folder(settings, listing)
    if not settings.additions:
        return digest
    from vision.data.sources.additions import Base, digest_parts, list_parts

    base = Base(settings.path.expanduser(), _classes(listing), _classes(listing, held_out=True))
    return digest_parts(digest, list_parts(settings.additions, base))


def _digest_reef(settings: ReefSource, data_folder: Path) -> str:
    from vision.data.sources.reef import reef_digest
    from vision.data.sources.reef.species import KNOWN_SPECIES, UNKNOWN_SPECIES

    digest = reef_digest(settings)
    if not settings.additions:
        return digest
    from vision.data.sources.additions import Base, digest_parts, list_parts

    held_out = UNKNOWN_SPECIES if settings.unknown_images_per_class else ()
    base = Base(_reef_folder(digest, data_folder), KNOWN_SPECIES, held_out)
    return digest_parts(digest, list_parts(settings.additions, base))


def _classes(listing: FolderListing, *, held_out: bool = False) -> frozenset[str]:
    return frozenset(file.class_name for file in listing.files if file.is_unknown == held_out)


def _read_folder(settings: FolderSource, progress: Progress | None) -> Manifest:
    from vision.data.sources.folder import digest_folder, list_folder

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
    from vision.data.sources.reef import list_reef_files, paint_reef, reef_digest
    from vision.data.sources.reef.dataset import plan_reef

    digest = reef_digest(settings)
    folder = _reef_folder(digest, data_folder)
    paint_reef(settings, folder, progress=progress)
    files = list_reef_files(folder)
    expected = len(plan_reef(settings))
    if len(files) != expected:
        raise SourceError(
            f"{folder}: {len(files)} of {expected} painted files are there. Delete this folder and run "
            "again: it is painted anew."
        )
    return build_manifest(folder, files, digest, progress=progress)


def _reef_folder(digest: str, data_folder: Path) -> Path:
    return data_folder.resolve() / f"reef-{digest[:16]}"

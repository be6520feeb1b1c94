"""A folder of the user's as a source."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from vision.config.data import AUTO_GROUPS, FolderSource
from vision.data.groups.grouping import suggest_groups
from vision.data.manifest import SourceFile
from vision.data.records import Manifest
from vision.data.sources.declaration import Base, Progress, Source
from vision.data.sources.folder import digest_listing, find_source, list_folder

logger = logging.getLogger(__name__)


def describe_folder(settings: FolderSource, _data_folder: Path) -> tuple[str, Base]:
    """Digest of paths and bytes, and the classes that were found; tells what groups the names suggest."""
    listing = list_folder(settings)
    _tell_groups(settings, listing.files)
    return digest_listing(settings.path, listing), listing.base(settings.path.expanduser())


def _tell_groups(settings: FolderSource, files: Sequence[SourceFile]) -> None:
    found = suggest_groups(files)
    if settings.group_by == AUTO_GROUPS:
        used = (
            " They are kept together."
            if found.pattern
            else " Each counts as its own, unless it looks like another."
        )
        logger.info("%s%s", found.sentence(), used)
    elif found.pattern and all(file.group is None for file in files):
        logger.warning(
            "%s Keep each of them in one split, or the figures will be too good: under dataset, set\n  %s",
            found.sentence(),
            found.setting(),
        )


def read_folder(settings: FolderSource, _data_folder: Path, progress: Progress | None) -> Manifest:
    """The manifest of the user's folder."""
    listing = list_folder(settings)
    digest = digest_listing(settings.path, listing)
    return listing.read(settings.path.expanduser(), digest, settings, progress)


FOLDER = Source(check=find_source, describe=describe_folder, read=read_folder)

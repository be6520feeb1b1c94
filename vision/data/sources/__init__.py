"""Where images come from; every source gives a manifest and a digest of its content.

A kind of source is a module that declares a `Source`, settings in a module of `vision.config` and a name in
`vision.config.sources.registry`, and one line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from vision.config.data import FolderSource, GrowingSource, ReefSource
from vision.config.sources.labelled import CocoSource, FathomnetSource, TfdsSource
from vision.config.sources.registry import SourceSettings
from vision.config.sources.tables import CatalogSource, CsvSource
from vision.data.label_corrections import apply_corrections, digest_corrections
from vision.data.records import Manifest
from vision.data.sources.additions import add_parts, digest_parts, list_parts
from vision.data.sources.coco.source import COCO
from vision.data.sources.declaration import Base, Progress, Source
from vision.data.sources.fathomnet.source import FATHOMNET
from vision.data.sources.folder import find_addition
from vision.data.sources.painted import REEF
from vision.data.sources.regression import digest_regression, leave_out_regression
from vision.data.sources.remote import check_remote, copy_remote
from vision.data.sources.table.catalog_source import CATALOG
from vision.data.sources.table.labels_file import CSV
from vision.data.sources.tfds.source import TFDS
from vision.data.sources.user_folder import FOLDER

SOURCES: Mapping[type[GrowingSource], Source] = MappingProxyType(
    {
        FolderSource: FOLDER,
        ReefSource: REEF,
        CocoSource: COCO,
        TfdsSource: TFDS,
        FathomnetSource: FATHOMNET,
        CsvSource: CSV,
        CatalogSource: CATALOG,
    }
)


def read_source(settings: SourceSettings, data_folder: Path, *, progress: Progress | None = None) -> Manifest:
    """The manifest of a source and its additions; a reef is painted into `data_folder` unless it is there.

    `progress` is told files done and files in all, for each part of the data anew.

    Raises:
        SourceError: no images where images were expected, an addition or a correction that does not fit, or
            a bucket that cannot be read.
        StorageError: a painted data set could not be written.
    """
    settings = copy_remote(settings, data_folder)
    base = SOURCES[type(settings)].read(settings, data_folder, progress)
    if settings.additions:
        fits_to = Base(Path(base.root), base.class_names, base.unknown_class_names)
        base = add_parts(base, list_parts(settings.additions, fits_to), progress)
    if settings.corrections is not None:
        base = apply_corrections(base, settings.corrections)
    return base if settings.regression is None else leave_out_regression(base, settings.regression)


def check_source(settings: SourceSettings) -> None:
    """Find the folders of a source and of its additions without reading them; list those of a bucket.

    Raises:
        SourceError: one is missing, or no folder, or may not be listed.
    """
    if not check_remote(settings):
        SOURCES[type(settings)].check(settings)
    for addition in settings.additions:
        find_addition(addition)


def digest_source(settings: SourceSettings, data_folder: Path) -> str:
    """SHA-256 of what a source holds now; equal to `read_source(...).source_digest`.

    For a folder, of the paths and bytes; for a reef, of settings and painter, which determine the bytes. With
    additions, of the source's own digest and theirs.

    Raises:
        SourceError: no images where images were expected, an addition or a correction that does not fit.
    """
    settings = copy_remote(settings, data_folder)
    digest, base = SOURCES[type(settings)].describe(settings, data_folder)
    if settings.additions:
        digest = digest_parts(digest, list_parts(settings.additions, base))
    if settings.corrections is not None:
        digest = digest_corrections(digest, settings.corrections)
    return digest if settings.regression is None else digest_regression(digest, settings.regression)

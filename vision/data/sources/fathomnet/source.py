"""A harvest as a source: its COCO file, read as any other."""

from __future__ import annotations

from pathlib import Path

from vision.base.errors import SourceError
from vision.config.sources.labelled import BoxedSource, CocoSource, FathomnetSource
from vision.data.records import Manifest
from vision.data.sources.coco.source import describe_coco, read_coco
from vision.data.sources.declaration import Base, Progress, Source
from vision.data.sources.fathomnet.harvest import ANNOTATIONS


def find_harvest(settings: FathomnetSource) -> CocoSource:
    """The harvest as a COCO source; SourceError if it has not been fetched, or not to its end."""
    folder = settings.folder.expanduser()
    if not (folder / ANNOTATIONS).is_file():
        raise SourceError(
            f"{folder}: holds no harvest of FathomNet that came to its end. Expected {ANNOTATIONS} in it. "
            "Fetch it with: python run.py harvest NAME (the name of this config)"
        )
    shared = {name: getattr(settings, name) for name in BoxedSource.model_fields}
    return CocoSource(annotations=folder / ANNOTATIONS, **shared)


def describe_harvest(settings: FathomnetSource, data_folder: Path) -> tuple[str, Base]:
    """Digest and classes of the harvest."""
    return describe_coco(find_harvest(settings), data_folder)


def read_harvest(settings: FathomnetSource, data_folder: Path, progress: Progress | None) -> Manifest:
    """The manifest of the harvest."""
    return read_coco(find_harvest(settings), data_folder, progress)


FATHOMNET = Source(check=find_harvest, describe=describe_harvest, read=read_harvest)

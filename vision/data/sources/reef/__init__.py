"""Painted fish: a data set that needs no download, the same bytes from the same settings."""

from vision.data.sources.reef.dataset import list_reef_files, paint_reef, reef_digest
from vision.data.sources.reef.painter import PAINTER_VERSION, paint_image
from vision.data.sources.reef.species import KNOWN_SPECIES, UNKNOWN_SPECIES

__all__ = [
    "KNOWN_SPECIES",
    "PAINTER_VERSION",
    "UNKNOWN_SPECIES",
    "list_reef_files",
    "paint_image",
    "paint_reef",
    "reef_digest",
]

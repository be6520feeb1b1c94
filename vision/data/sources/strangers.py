"""A folder of pictures of other things than what is taught: they test the model and never teach it.

Every image below the folder counts, whatever the folders in it are called.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vision.base.errors import ImageError, SourceError
from vision.base.files import digest_file
from vision.base.record import ImageArray
from vision.config.data import ImageSettings
from vision.data.images import decode_image
from vision.data.sources.finding import find_pictures

_EXPECTED = "Expected a folder of pictures of other things, or no such entry in unknowns.strangers"

logger = logging.getLogger(__name__)


def digest_strangers(folder: Path) -> str:
    """SHA-256 over the paths and bytes of the images of a folder, of which one at least can be decoded.

    Raises:
        SourceError: the folder is missing, or no folder, or holds no usable image.
    """
    root, paths = find_pictures(folder, _EXPECTED)
    _refuse_none(folder, any(True for _ in _decode(root, paths, ImageSettings(size=16))))
    lines = [f"{path}\0{digest_file(root / path)}\n" for path in paths]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def read_strangers(folder: Path, most: int, settings: ImageSettings) -> ImageArray:
    """At most `most` images of a folder, evenly spaced by path, (m, size, size, 3) uint8.

    What cannot be decoded is left out.

    Raises:
        SourceError: the folder is missing, or no folder, or holds no usable image.
    """
    root, paths = find_pictures(folder, _EXPECTED)
    chosen = np.linspace(0, len(paths) - 1, min(most, len(paths))).round().astype(int)
    images = list(_decode(root, [paths[i] for i in chosen], settings))
    _refuse_none(folder, bool(images))
    if len(images) < len(chosen):
        logger.warning(
            "%s: %d of %d images cannot be decoded", folder, len(chosen) - len(images), len(chosen)
        )
    return np.stack(images)


def _decode(root: Path, paths: list[str], settings: ImageSettings) -> Iterator[ImageArray]:
    for path in paths:
        try:
            yield decode_image((root / path).read_bytes(), size=settings.size, resize=settings.resize)
        except (ImageError, OSError):
            continue  # counted by who asks


def _refuse_none(folder: Path, some: bool) -> None:
    if not some:
        raise SourceError(f"{folder}: none of its images can be decoded. {_EXPECTED}.")

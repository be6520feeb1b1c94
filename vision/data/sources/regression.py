"""A folder of pictures, one folder a class, that every later model is asked and none is taught."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vision.base.errors import ImageError, SourceError
from vision.base.files import digest_file
from vision.base.names import normalise
from vision.config.data import Resize
from vision.data.images import decode_image
from vision.data.records import FileRemark, Manifest
from vision.data.sources.finding import find_pictures

if TYPE_CHECKING:
    from vision.data.groups.near_duplicates import SmallPictures

_EXPECTED = "Expected class folders of pictures in dataset.regression, as corrections --out writes them"


def list_regression(folder: Path) -> list[tuple[Path, str, str]]:
    """File, class (its folder's name in NFC, as models name it) and SHA-256 of every picture, by path.

    A picture that is there under several names is listed once.

    Raises:
        SourceError: the folder is missing, holds no picture, one outside a class folder, or one in two.
    """
    root, paths = find_pictures(folder, _EXPECTED)
    loose = [path for path in paths if "/" not in path]
    if loose:
        raise SourceError(f"{root}: {loose[0]} lies in no class folder. {_EXPECTED}.")
    listed: dict[str, tuple[Path, str, str]] = {}
    for path in paths:
        file = root / path, normalise(path.split("/")[0]), digest_file(root / path)
        first = listed.setdefault(file[2], file)
        if first[1] != file[1]:
            raise SourceError(
                f"{root}: {first[0].relative_to(root)} and {path} are one picture in two class folders. "
                "Expected each picture in one. Delete the one that is wrong."
            )
    return list(listed.values())


def digest_regression(digest: str, folder: Path) -> str:
    """SHA-256 over a source's digest and the set's classes and bytes.

    Raises:
        SourceError: as of `list_regression`.
    """
    lines = "by looks\n" + "".join(f"{name}\0{each}\n" for _, name, each in list_regression(folder))
    return hashlib.sha256(f"{digest}\0regression\0{lines}".encode()).hexdigest()


def leave_out_regression(manifest: Manifest, folder: Path) -> Manifest:
    """The manifest without the pictures of the set and copies of them, and a digest that covers the set.

    A copy has the same bytes, or looks the same: saved again, in another format or size.

    Raises:
        SourceError: as of `list_regression`.
    """
    from vision.data.groups.near_duplicates import find_copies  # imports SciPy

    listed = list_regression(folder)
    asked = {digest for _, _, digest in listed}
    others = [entry for entry in manifest.entries if entry.digest not in asked]
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        small = list(pool.map(_shrink, map(manifest.locate, others)))
    copies = find_copies(np.array(small), np.array([_shrink(path) for path, _, _ in listed]))
    kept = tuple(entry for entry, is_copy in zip(others, copies, strict=True) if not is_copy)
    number = len(manifest.entries) - len(kept)
    told = [FileRemark(what="images left out, as they are in dataset.regression", count=number)]
    return manifest.model_copy(
        update={
            "entries": kept,
            "remarks": (*manifest.remarks, *(told if number else [])),
            "source_digest": digest_regression(manifest.source_digest, folder),
        }
    )


def _shrink(path: Path) -> SmallPictures:
    """A file's picture as a small grey one; a flat one, which no other is like, where it cannot be read."""
    from vision.data.groups.near_duplicates import SIDE, shrink_image

    try:
        return shrink_image(
            decode_image(path.read_bytes(), size=2 * SIDE, resize=Resize.STRETCH, keeps_damage=True)
        )
    except (ImageError, OSError):  # the gate and the manifest name such files
        return np.zeros((SIDE, SIDE), np.uint8)

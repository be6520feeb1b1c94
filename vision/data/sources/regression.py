"""A folder of pictures, one folder a class, that every later model is asked and none is taught."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vision.base.errors import SourceError
from vision.base.files import digest_file
from vision.base.names import normalise
from vision.data.records import FileRemark, Manifest
from vision.data.sources.finding import describe_nothing, find_images, find_root

_EXPECTED = "Expected class folders of pictures in dataset.regression, as corrections --out writes them"


def list_regression(folder: Path) -> list[tuple[Path, str, str]]:
    """File, class (its folder's name in NFC, as models name it) and SHA-256 of every picture, by path.

    Raises:
        SourceError: the folder is missing, holds no picture, or one outside a class folder.
    """
    root = find_root(folder, f"{_EXPECTED}.")
    found = find_images(root)
    if not found.images:
        raise SourceError(describe_nothing(root, found, _EXPECTED))
    loose = [path for path in found.images if "/" not in path]
    if loose:
        raise SourceError(f"{root}: {loose[0]} lies in no class folder. {_EXPECTED}.")
    return [
        (root / path, normalise(path.split("/")[0]), digest_file(root / path))
        for path in sorted(found.images)
    ]


def digest_regression(digest: str, folder: Path) -> str:
    """SHA-256 over a source's digest and the set's classes and bytes.

    Raises:
        SourceError: as of `list_regression`.
    """
    lines = "".join(f"{name}\0{each}\n" for _, name, each in list_regression(folder))
    return hashlib.sha256(f"{digest}\0regression\0{lines}".encode()).hexdigest()


def leave_out_regression(manifest: Manifest, folder: Path) -> Manifest:
    """The manifest without the pictures of the set, found by their bytes, and a digest that covers them.

    Raises:
        SourceError: as of `list_regression`.
    """
    asked = {digest for _, _, digest in list_regression(folder)}
    kept = tuple(entry for entry in manifest.entries if entry.digest not in asked)
    number = len(manifest.entries) - len(kept)
    told = [FileRemark(what="images left out, as they are in dataset.regression", count=number)]
    return manifest.model_copy(
        update={
            "entries": kept,
            "remarks": (*manifest.remarks, *(told if number else [])),
            "source_digest": digest_regression(manifest.source_digest, folder),
        }
    )

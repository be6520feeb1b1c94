"""Known images as the served graph sees them: which of them is a new one most like?

Up to `EXACT_ROWS` images lie in one file with their pictures. Of more, that file holds some of each class,
and three others all of them without pictures: an index of their embeddings, their labels and their paths,
which are mapped into memory.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vision.base.arrays import pack_arrays, unpack_arrays
from vision.base.errors import BundleError
from vision.base.files import storage_errors, write_atomically
from vision.base.outputs import ModelOutputs
from vision.base.record import FloatArray, ImageArray, IntArray
from vision.bundle.index import EXACT_ROWS, ExactIndex, FaissIndex, Index, build_index
from vision.bundle.records import SimilarImage
from vision.data.records import Manifest, Splits
from vision.drift.reference import round_embeddings, thin_rows

logger = logging.getLogger(__name__)

NEIGHBOURS_NAME = "neighbours.npz"

MORE_NAMES = INDEX_NAME, ROWS_NAME, PATHS_NAME = ("similar.faiss", "similar_rows.npy", "similar_paths.npy")
"""Files of a bundle with more known images than `EXACT_ROWS`."""

PICTURED = 50
"""Images of a class that keep their pictures where there are more than `EXACT_ROWS` in all."""

_SIDE = 128
_QUALITY = 80
_SAME = 1 - 1e-6
"""Cosine above which two embeddings are of one picture: what float16 rounds is less."""


@dataclass(frozen=True, eq=False)
class ManyImages:
    """All known images, where there are more than `EXACT_ROWS`.

    Attributes:
        index: of the embeddings of n images.
        rows: (n, 2) int64, label, and the end of its path in `paths`.
        paths: UTF-8, one after the other.
    """

    index: Index
    rows: IntArray
    paths: NDArray[np.uint8]

    def tell(self, row: int) -> tuple[int, str]:
        """Label and path of an image."""
        start = self.rows[row - 1, 1] if row else 0
        label, end = self.rows[row].tolist()
        return label, self.paths[start:end].tobytes().decode(errors="surrogateescape")


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Known images that can be shown as like another one.

    Attributes:
        embeddings: (m, d) float16, of the served graph.
        labels: (m,) int64, places in `class_names`.
        groups: (m,) int64, images of one individual, camera or visit share a number.
        pictures: m small JPEGs; empty where none is kept, before they are saved.
        more: all known images, where these are only those with pictures.
    """

    embeddings: FloatArray
    labels: IntArray
    groups: IntArray
    paths: Sequence[str]
    pictures: Sequence[bytes]
    class_names: tuple[str, ...]
    more: ManyImages | None = None

    @property
    def num_images(self) -> int:
        """Known images that can be found."""
        return len(self.more.rows) if self.more else len(self.paths)

    @cached_property
    def _index(self) -> Index:
        return self.more.index if self.more else ExactIndex(self.embeddings)

    @cached_property
    def _pictures(self) -> dict[str, bytes]:
        return dict(zip(self.paths, self.pictures, strict=True))

    def nearest(self, embedding: FloatArray, number: int) -> list[tuple[SimilarImage, bytes]]:
        """The `number` images whose embeddings have the largest cosine with this one (d,), with pictures.

        A picture is empty where none is kept.

        Raises:
            TaxonError: the embedding has another width than theirs, or is not finite.
        """
        cosines, rows = self._index.search(embedding[None], number)
        found = []
        for cosine, row in zip(cosines[0].tolist(), rows[0].tolist(), strict=True):
            label, path = self.more.tell(row) if self.more else (self.labels[row], self.paths[row])
            similar = SimilarImage(
                path=path,
                class_name=self.class_names[label],
                similarity=round(cosine, 4),
                same=cosine > _SAME,
            )
            found.append((similar, self._pictures.get(path, b"")))
        return found

    def with_pictures(self) -> Neighbours:
        """Those whose pictures are kept."""
        rows = [row for row, picture in enumerate(self.pictures) if picture]
        return Neighbours(
            embeddings=self.embeddings[rows],
            labels=self.labels[rows],
            groups=self.groups[rows],
            paths=[self.paths[row] for row in rows],
            pictures=[self.pictures[row] for row in rows],
            class_names=self.class_names,
        )


def gather_neighbours(
    outputs: ModelOutputs, manifest: Manifest, splits: Splits, images: ImageArray, per_class: int
) -> Neighbours:
    """Up to `per_class` of the images (n, s, s, 3) of each known class, of as many groups as can be.

    Of more than `EXACT_ROWS` in all, `PICTURED` of each class have pictures.
    """
    labels = splits.labels()
    codes = np.unique(splits.group_array(), return_inverse=True)[1].astype(np.int64)
    rows = _pick(outputs.rows, labels, codes, per_class)
    pictured = set((rows if len(rows) <= EXACT_ROWS else _pick(rows, labels, codes, PICTURED)).tolist())
    return Neighbours(
        embeddings=round_embeddings(outputs.take(rows).embeddings),
        labels=labels[rows],
        groups=codes[rows],
        paths=list(manifest.entries.column("path").take(rows)),
        pictures=[_shrink(images[row]) if row in pictured else b"" for row in rows.tolist()],
        class_names=splits.class_names,
    )


def _pick(rows: IntArray, labels: IntArray, groups: IntArray, per_class: int) -> IntArray:
    """Of these rows, ascending, up to so many of each class; none of no class."""
    picked = [rows[:0]]
    for label in range(int(labels.max(initial=-1)) + 1):
        own = rows[labels[rows] == label]
        codes = np.unique(groups[own], return_inverse=True)[1]
        picked.append(own[thin_rows(codes, per_class, np.random.default_rng(label))])
    return np.sort(np.concatenate(picked))


def save_neighbours(neighbours: Neighbours, folder: Path) -> list[str]:
    """Write them into a folder, and return the names of the files; equal ones give equal bytes.

    Raises:
        BundleError: there are more than `EXACT_ROWS`, and faiss is not installed.
        StorageError: they could not be written.
    """
    if len(neighbours.paths) <= EXACT_ROWS:
        _save_pictured(neighbours, folder / NEIGHBOURS_NAME)
        return [NEIGHBOURS_NAME]
    _save_pictured(neighbours.with_pictures(), folder / NEIGHBOURS_NAME)
    recall = build_index(neighbours.embeddings, folder / INDEX_NAME)
    paths = [path.encode(errors="surrogateescape") for path in neighbours.paths]
    told = "an index of %s known images finds %.1f of 100 that are most like another"
    logger.info(told, f"{len(paths):,}", 100 * recall)
    ends = np.cumsum([len(path) for path in paths])
    with storage_errors(folder):
        np.save(folder / ROWS_NAME, np.stack([neighbours.labels, ends], axis=1).astype(np.int64))
        np.save(folder / PATHS_NAME, np.frombuffer(b"".join(paths), np.uint8))
    return [NEIGHBOURS_NAME, *MORE_NAMES]


def _save_pictured(neighbours: Neighbours, path: Path) -> None:
    told = json.dumps({"paths": list(neighbours.paths), "class_names": neighbours.class_names})
    arrays = {
        "embeddings": neighbours.embeddings,
        "labels": neighbours.labels,
        "groups": neighbours.groups,
        "told": np.frombuffer(told.encode(), np.uint8),
        "pictures": np.frombuffer(b"".join(neighbours.pictures), np.uint8),
        "ends": np.cumsum([len(each) for each in neighbours.pictures], dtype=np.int64),
    }
    write_atomically(path, pack_arrays(arrays))


def read_neighbours(folder: Path) -> Neighbours:
    """Neighbours as `save_neighbours` wrote them.

    Raises:
        BundleError: a file is damaged or holds something else, or faiss is needed and not installed.
    """
    path = folder / NEIGHBOURS_NAME
    arrays = unpack_arrays(path)
    try:
        told = json.loads(arrays["told"].tobytes())
        pictures, ends = arrays["pictures"].tobytes(), arrays["ends"].tolist()
        return Neighbours(
            embeddings=arrays["embeddings"],
            labels=arrays["labels"],
            groups=arrays["groups"],
            paths=told["paths"],
            pictures=[pictures[start:end] for start, end in zip([0, *ends], ends, strict=False)],
            class_names=tuple(told["class_names"]),
            more=_read_more(folder) if (folder / INDEX_NAME).exists() else None,
        )
    except (KeyError, ValueError) as error:
        raise BundleError(f"{path} holds no known images ({error}). Assemble the bundle again.") from error


def _read_more(folder: Path) -> ManyImages:
    index = FaissIndex(folder / INDEX_NAME)
    try:
        rows, paths = (np.load(folder / name, mmap_mode="r") for name in (ROWS_NAME, PATHS_NAME))
    except (ValueError, OSError, EOFError) as error:
        raise BundleError(f"{folder} holds no known images ({error}). Assemble the bundle again.") from error
    if rows.shape != (index.num_rows, 2) or paths.shape != (rows[-1, 1],):
        raise BundleError(
            f"{folder} holds {index.num_rows} embeddings, and tables of {rows.shape} and {paths.shape}; "
            "expected a row of each. Assemble the bundle again."
        )
    return ManyImages(index, rows, paths)


def _shrink(image: ImageArray) -> bytes:
    buffer = io.BytesIO()
    small = Image.fromarray(np.asarray(image))
    small.thumbnail((_SIDE, _SIDE))
    small.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()

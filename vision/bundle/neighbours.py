"""Some known images of each class as the served graph sees them: which of them is a new one most like?"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vision.base.arrays import pack_arrays, unpack_arrays
from vision.base.errors import BundleError
from vision.base.files import write_atomically
from vision.base.outputs import ModelOutputs
from vision.base.record import FloatArray, ImageArray, IntArray
from vision.bundle.records import SimilarImage
from vision.data.records import Manifest, Splits
from vision.drift.reference import round_embeddings, thin_rows

NEIGHBOURS_NAME = "neighbours.npz"

_SIDE = 128
_QUALITY = 80
_EPSILON = 1e-12
_SAME = 1 - 1e-6
"""Cosine above which two embeddings are of one picture: what float16 rounds is less."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Known images that can be shown as like another one.

    Attributes:
        embeddings: (m, d) float16, of the served graph.
        labels: (m,) int64, places in `class_names`.
        groups: (m,) int64, images of one individual, camera or visit share a number.
        paths: m, in the data set.
        pictures: m small JPEGs.
        class_names: of the model.
    """

    embeddings: FloatArray
    labels: IntArray
    groups: IntArray
    paths: Sequence[str]
    pictures: Sequence[bytes]
    class_names: tuple[str, ...]

    def nearest(self, embedding: FloatArray, number: int) -> list[tuple[SimilarImage, bytes]]:
        """The `number` images whose embeddings have the largest cosine with this one (d,), with pictures."""
        cosines = unit_rows(self.embeddings) @ unit_rows(embedding[None])[0]
        return [
            (
                SimilarImage(
                    path=self.paths[place],
                    class_name=self.class_names[self.labels[place]],
                    similarity=round(float(cosines[place]), 4),
                    same=bool(cosines[place] > _SAME),
                ),
                self.pictures[place],
            )
            for place in np.argsort(-cosines, kind="stable")[:number]
        ]


def unit_rows(embeddings: FloatArray) -> FloatArray:
    """Embeddings (n, d) as float32 rows of length 1."""
    rows = np.asarray(embeddings, np.float32)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _EPSILON), np.float32)


def gather_neighbours(
    outputs: ModelOutputs, manifest: Manifest, splits: Splits, images: ImageArray, per_class: int
) -> Neighbours:
    """Up to `per_class` images of each class, of as many groups as can be.

    Args:
        outputs: of the exported graph; images of held-out classes among them are left out.
        manifest: has the paths.
        splits: has labels and groups.
        images: (n, s, s, 3), as the network sees them.
        per_class: most images of a class.
    """
    labels = splits.labels()
    codes = np.unique(splits.group_array(), return_inverse=True)[1].astype(np.int64)
    picked: list[int] = []
    for label in range(len(splits.class_names)):
        rows = outputs.rows[labels[outputs.rows] == label]
        own = np.unique(codes[rows], return_inverse=True)[1]
        picked += rows[thin_rows(own, per_class, np.random.default_rng(label))].tolist()
    rows = np.sort(np.array(picked, np.int64))
    return Neighbours(
        embeddings=round_embeddings(outputs.take(rows).embeddings),
        labels=labels[rows],
        groups=codes[rows],
        paths=[manifest.entries[row].path for row in rows],
        pictures=[_shrink(images[row]) for row in rows],
        class_names=splits.class_names,
    )


def save_neighbours(neighbours: Neighbours, path: Path) -> None:
    """Write them; equal ones give equal bytes.

    Raises:
        StorageError: they could not be written.
    """
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


def read_neighbours(path: Path) -> Neighbours:
    """Neighbours as `save_neighbours` wrote them.

    Raises:
        BundleError: the file is damaged or holds something else.
    """
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
        )
    except (KeyError, ValueError) as error:
        raise BundleError(f"{path} holds no known images ({error}). Assemble the bundle again.") from error


def _shrink(image: ImageArray) -> bytes:
    buffer = io.BytesIO()
    small = Image.fromarray(np.asarray(image))
    small.thumbnail((_SIDE, _SIDE))
    small.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()

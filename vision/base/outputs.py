"""A trained network as a file, and what it says of some images: the arrays that cross steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vision.base.record import FileSet, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class ArrayValue:
    """A frozen value made of arrays; it crosses steps as one .npz file, an array a field."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Name -> array, everything that `from_arrays` needs; a field that is None is left out."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: array for name, array in arrays.items() if array is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The value again."""
        return cls(**arrays)

    def describe(self) -> dict[str, int | str]:
        """Its sizes, as metadata."""
        return {}


@dataclass(frozen=True, eq=False)
class ModelOutputs(ArrayValue):
    """What one network says of some rows of the data set.

    Attributes:
        rows: (m,) int64, row numbers in the data set, ascending.
        logits: (m, k) float32, before softmax, not divided by a temperature.
        embeddings: (m, d) float32, penultimate activations.
        quality: (m, q) float32, columns of `vision.data.quality.QUALITY_COLUMNS`.
        kernel: (d, k) float32 and
        bias: (k,) float32, the last linear layer: logits = embeddings @ kernel + bias.
        early: (m, e) float32, mean and standard deviation of each channel after an early layer; None of a
            graph that was exported before there was such an output.
    """

    rows: IntArray
    logits: FloatArray
    embeddings: FloatArray
    quality: FloatArray
    kernel: FloatArray
    bias: FloatArray
    early: FloatArray | None = None

    def describe(self) -> dict[str, int | str]:
        """Images, classes, embedding width."""
        return {
            "num_images": len(self.rows),
            "num_classes": int(self.logits.shape[1]),
            "embedding_width": int(self.embeddings.shape[1]),
        }

    def take(self, rows: IntArray) -> ModelOutputs:
        """The outputs of some data-set rows, in the order asked for; ValueError if a row is missing."""
        if np.array_equal(rows, self.rows):
            return self
        position = np.searchsorted(self.rows, rows)
        if len(rows) and (position.max() >= len(self.rows) or not np.array_equal(self.rows[position], rows)):
            raise ValueError("Some rows were asked for that this network has not been run on.")
        return self.at(position)

    def at(self, position: IntArray) -> ModelOutputs:
        """The outputs at some positions, in the order asked for."""
        return replace(
            self,
            rows=self.rows[position],
            logits=self.logits[position],
            embeddings=self.embeddings[position],
            quality=self.quality[position],
            early=None if self.early is None else self.early[position],
        )

    def with_head(self, kernel: FloatArray, bias: FloatArray) -> ModelOutputs:
        """The same images, read by another head (d, k) and (k,) on the same embeddings."""
        return replace(self, logits=self.embeddings @ kernel + bias, kernel=kernel, bias=bias)


@dataclass(frozen=True, eq=False)
class FoldHeads(ArrayValue):
    """Heads on the embeddings of one frozen backbone, each fitted without one fold of the images.

    Attributes:
        rows: (m,) int64, rows of the images that the network's own head was fitted on, ascending.
        folds: (m,) int64, the fold that an image is left out of; every group lies in one fold.
        kernels: (f, d, k) float32 and
        biases: (f, k) float32. No fold at all: the network was not cross-fitted.
    """

    rows: IntArray
    folds: IntArray
    kernels: FloatArray
    biases: FloatArray

    @property
    def num_folds(self) -> int:
        """Number of folds; 0 where the network was not cross-fitted."""
        return len(self.biases)

    @classmethod
    def none(cls) -> Self:
        """No folds."""
        no_rows = np.zeros(0, np.int64)
        return cls(no_rows, no_rows, np.zeros((0, 0, 0), np.float32), np.zeros((0, 0), np.float32))

    def describe(self) -> dict[str, int | str]:
        """Folds and images."""
        return {"num_folds": self.num_folds, "num_images": len(self.rows)}


class Forward(NamedTuple):
    """What a network gives for n images.

    Attributes:
        logits: (n, k) float32, before softmax, not divided by a temperature.
        embeddings: (n, d) float32, penultimate activations.
        cam: (n, h, w, k) float32 class-activation map, or None where the network gives none.
        early: (n, e) float32, mean and standard deviation of each channel after an early layer, or None.
    """

    logits: FloatArray
    embeddings: FloatArray
    cam: FloatArray | None = None
    early: FloatArray | None = None


class ModelFile(FileSet):
    """A trained network as one .keras file (`FILE_NAME`)."""

    FILE_NAME: ClassVar[str] = "model.keras"
    candidate: str
    backbone: str
    num_parameters: int
    embedding_width: int
    strategy: str = Field(default="", description="how it was trained; empty: not recorded")
    head_only: bool = Field(default=False, description="the backbone is as it was pretrained")

    @property
    def fine_tuning_failed(self) -> bool:
        """Whether all weights were trained and the head fitted before that was kept."""
        return self.head_only and self.strategy != "frozen"

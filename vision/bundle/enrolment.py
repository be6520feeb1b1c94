"""A new class from a few pictures, beside a trained model, until a training takes them.

The class is the mean direction of its pictures' embeddings, seen from the middle of the known ones, in the
units in which known images of one class differ. A picture is taken for it where its cosine with it is above a
threshold found from the known images as conformal risk control over groups does it: of a new group of known
classes about the share `alpha` is expected above it. That is no promise: the units are fitted on the same
images, and with many features and few images 7 to 8% were seen at 5% (docs/decisions/0031).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vision.base.errors import DataError
from vision.base.record import FloatArray, IntArray
from vision.bundle.index import unit_rows
from vision.bundle.neighbours import Neighbours
from vision.bundle.records import LEAST_PICTURES

ALPHA = 0.05


@dataclass(frozen=True, eq=False)
class Space:
    """Known images as directions.

    Attributes:
        centre: (d,) mean of their embeddings.
        axes: (d, r) by which what differs within a class is scaled to equal lengths.
        known: (m, r) unit rows.
        groups: (m,) 0..g-1.
    """

    centre: FloatArray
    axes: FloatArray
    known: FloatArray
    groups: IntArray

    def place(self, embeddings: FloatArray) -> FloatArray:
        """Embeddings (n, d) as unit rows."""
        return unit_rows((np.asarray(embeddings, np.float32) - self.centre) @ self.axes)


@dataclass(frozen=True, eq=False)
class EnrolledClass:
    """A class that can be answered provisionally.

    Attributes:
        direction: (r,) of length 1.
        threshold: a picture above it is taken for the class.
        num_recognised: of them, each left out in turn, above the threshold.
    """

    class_name: str
    space: Space
    direction: FloatArray
    threshold: float
    num_images: int
    num_recognised: int

    def similarity(self, embedding: FloatArray) -> float:
        """Cosine of an embedding (d,) with the class."""
        return float(self.space.place(embedding[None])[0] @ self.direction)


def make_space(known: Neighbours) -> Space:
    """The space of a model's known images."""
    embeddings = np.asarray(known.embeddings, np.float32)
    centre = embeddings.mean(axis=0)
    present, places = np.unique(known.labels, return_inverse=True)
    means = np.stack([embeddings[known.labels == label].mean(axis=0) for label in present])
    within = (embeddings - means[places]).astype(np.float64)
    variances, axes = np.linalg.eigh(within.T @ within / max(1, len(within)))  # a tenth of an SVD's time
    rank = min(within.shape)
    variances = np.maximum(variances[-rank:], 0.0)
    floor = max(variances.mean(), 1e-12)  # what the images do not vary in is neither ignored nor blown up
    scaled = (axes[:, -rank:] / np.sqrt(variances + floor)).astype(np.float32)
    groups = np.unique(known.groups, return_inverse=True)[1].astype(np.int64)
    return Space(centre, scaled, unit_rows((embeddings - centre) @ scaled), groups)


def enrol(
    known: Neighbours, space: Space, embeddings: FloatArray, class_name: str, alpha: float = ALPHA
) -> EnrolledClass:
    """The class of pictures with these embeddings (n, d).

    Raises:
        DataError: there are too few pictures, or known images for alpha; the model knows the class; or
            most of the pictures, each left out in turn, could not be told from known classes.
    """
    if class_name in known.class_names:
        raise DataError(f"the model knows {class_name!r}; expected a new class. Correct its answers instead")
    if len(embeddings) < LEAST_PICTURES:
        raise DataError(f"{len(embeddings)} pictures came; expected {LEAST_PICTURES} or more. Add some")
    num_groups, least = int(space.groups.max()) + 1, int(np.ceil(1 / alpha))
    if num_groups < least:
        raise DataError(
            f"the model keeps known images of {num_groups} groups; expected {least} or more, to take about "
            f"{alpha:.0%} of known images for the new class. Train with more of them"
        )
    own = space.place(embeddings)
    num_recognised = 0
    for place in range(len(own)):
        direction, threshold = _fit(np.delete(own, place, axis=0), space, alpha)
        num_recognised += bool(own[place] @ direction > threshold)
    if 2 * num_recognised <= len(own):
        raise DataError(
            f"of its {len(own)} pictures, each left out in turn, {num_recognised} can be told from the known "
            "classes; expected more than half. Send more or clearer pictures, or train with the class"
        )
    return EnrolledClass(class_name, space, *_fit(own, space, alpha), len(own), num_recognised)


def _fit(own: FloatArray, space: Space, alpha: float) -> tuple[FloatArray, float]:
    """Direction of a class, and the least cosine that keeps alpha.

    With g known groups the shares of their images above it sum to at most alpha * (g + 1) - 1.
    """
    direction = unit_rows(own.mean(axis=0)[None])[0]
    cosines, sizes = space.known @ direction, np.bincount(space.groups)
    order = np.argsort(-cosines, kind="stable")
    above = np.cumsum(1 / sizes[space.groups[order]])
    first_over = int(np.flatnonzero(above > alpha * (len(sizes) + 1) - 1 + 1e-9)[0])
    return direction, float(cosines[order[first_over]])

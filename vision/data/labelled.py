"""What a network says of one split, beside the truth: outputs, labels and groups aligned row by row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision.base.outputs import ModelOutputs
from vision.base.record import IntArray
from vision.data.records import Split, Splits


@dataclass(frozen=True, eq=False)
class Labelled:
    """Outputs of m images with their truth.

    Attributes:
        outputs: of m rows.
        labels: (m,) int64, index into the known classes; -1 for a held-out unknown class.
        class_names: (m,) str, the image's own class, known or held out.
        groups: (m,) str.
    """

    outputs: ModelOutputs
    labels: IntArray
    class_names: NDArray[np.str_]
    groups: NDArray[np.str_]


def select(outputs: ModelOutputs, splits: Splits, split: Split, *, unknown: bool = False) -> Labelled:
    """The known images of a split (or, with `unknown`, its held-out ones) as one network sees them.

    Raises:
        ValueError: the network was not run on some of them.
    """
    return at_rows(outputs, splits, splits.rows(split, unknown=unknown))


def at_rows(outputs: ModelOutputs, splits: Splits, rows: IntArray) -> Labelled:
    """Some rows of the data set, in the order given, as one network sees them.

    Raises:
        ValueError: the network was not run on some of them.
    """
    return Labelled(
        outputs=outputs.take(rows),
        labels=splits.labels()[rows],
        class_names=np.array(list(splits.image_classes.take(rows)), dtype=np.str_),
        groups=np.array(list(splits.groups.take(rows)), dtype=np.str_),
    )


def rows_of(splits: Splits, *wanted: Split) -> IntArray:
    """Row numbers of all images, known and held out, of some splits; ascending."""
    return np.flatnonzero(splits.used_as(*wanted))

"""How much better a model would look if pictures of one group lay on both sides of the split."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from threadpoolctl import threadpool_limits

from vision.base.outputs import ModelOutputs
from vision.base.record import FloatArray, IntArray, Value
from vision.data.records import Splits

FOLDS = 4
MAX_IMAGES = 3000
INVERSE_REGULARISATION = 0.01
MAX_ITERATIONS = 200


class SplitInflation(Value):
    """Accuracy of one cheap head under cross-validation, with folds of whole groups and of single images."""

    by_groups: float = Field(description="accuracy on images of groups that the head never saw")
    at_random: float = Field(description="accuracy where other images of the same groups were learned")
    num_images: int
    num_groups: int

    @property
    def points(self) -> float:
        """What a random split would have added, in percentage points."""
        return 100 * (self.at_random - self.by_groups)


def measure_inflation(frozen: ModelOutputs, splits: Splits, seed: int) -> SplitInflation | None:
    """The accuracy of a linear head on a frozen network's features, by groups and at random.

    `frozen` is what a network whose backbone was not trained on these images says of them; none is of test.
    Of more than `MAX_IMAGES` images, whole groups are drawn. None where no two images share a group, or a
    class has fewer groups than there are folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    labels, groups = splits.labels()[frozen.rows], splits.group_array()[frozen.rows]
    used = np.flatnonzero(labels >= 0)
    used = used[_draw_groups(groups[used], seed)]
    labels, rank = labels[used], np.unique(groups[used], return_inverse=True)[1]
    groups_of_class = [len(np.unique(rank[labels == label])) for label in np.unique(labels)]
    num_groups = int(rank.max()) + 1 if len(rank) else 0
    if num_groups == len(rank) or len(groups_of_class) < 2 or min(groups_of_class) < FOLDS:
        return None
    features = frozen.embeddings[used].astype(np.float64)
    whole = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    single = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    with threadpool_limits(limits=1):  # these products are small: threads cost more than they save
        by_groups = _cross_validate(features, labels, whole.split(features, labels, rank))
        at_random = _cross_validate(features, labels, single.split(features, labels))
    return SplitInflation(
        by_groups=by_groups, at_random=at_random, num_images=len(labels), num_groups=num_groups
    )


def _draw_groups(groups: NDArray[np.str_], seed: int) -> IntArray:
    """Positions of the images of whole groups drawn at random, until there are `MAX_IMAGES`."""
    rank = np.unique(groups, return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(int(rank.max()) + 1 if len(rank) else 0)
    before = np.cumsum(np.bincount(rank)[order]) - np.bincount(rank)[order]
    return np.flatnonzero(np.isin(rank, order[before < MAX_IMAGES]))


def _cross_validate(
    features: FloatArray, labels: IntArray, folds: Iterable[tuple[IntArray, IntArray]]
) -> float:
    """Share of images that a head fitted without their fold gets right."""
    from sklearn.linear_model import LogisticRegression

    right = []
    for train, held_out in folds:
        mean, scale = features[train].mean(axis=0), features[train].std(axis=0) + 1e-6
        model = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=MAX_ITERATIONS, tol=1e-3)
        model.fit((features[train] - mean) / scale, labels[train])
        right.append(model.predict((features[held_out] - mean) / scale) == labels[held_out])
    return float(np.concatenate(right).mean())

"""What a random split adds is measured where pictures of one group resemble each other, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from vision.base.outputs import ModelOutputs
from vision.data.records import Split, Splits
from vision.evaluation import split_inflation
from vision.evaluation.split_inflation import measure_inflation

CLASSES, WIDTH = 3, 40


def draw(
    groups_per_class: int, group_size: int, likeness: float, unknown: Sequence[int] = ()
) -> tuple[ModelOutputs, Splits]:
    """Features with a weak trace of the class and a strong one of the group, as `likeness` says."""
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(CLASSES), groups_per_class * group_size)
    groups = np.repeat(np.arange(CLASSES * groups_per_class), group_size)
    traces = rng.normal(size=(CLASSES * groups_per_class, WIDTH))[groups]
    features = 0.4 * np.eye(WIDTH)[labels] + likeness * traces + 0.3 * rng.normal(size=(len(labels), WIDTH))
    num = len(labels)
    none = np.zeros((num, CLASSES), np.float32)
    outputs = ModelOutputs(
        rows=np.arange(num),
        logits=none,
        embeddings=features.astype(np.float32),
        quality=none,
        kernel=np.zeros((WIDTH, CLASSES), np.float32),
        bias=np.zeros(CLASSES, np.float32),
    )
    splits = Splits(
        class_names=tuple(f"c{label}" for label in range(CLASSES) if label not in unknown),
        unknown_class_names=tuple(f"c{label}" for label in unknown),
        digests=tuple(map(str, range(num))),
        groups=tuple(f"g{group}" for group in groups),
        image_classes=tuple(f"c{label}" for label in labels),
        splits=(Split.TRAIN,) * num,
    )
    return outputs, splits


def test_a_random_split_flatters_where_images_of_a_group_are_alike() -> None:
    found = measure_inflation(*draw(12, 5, likeness=1.0), seed=1)
    assert found is not None
    assert (found.num_images, found.num_groups) == (180, 36)
    assert found.at_random > 0.8
    assert found.points > 20
    assert found.points == pytest.approx(100 * (found.at_random - found.by_groups))


def test_groups_that_say_nothing_inflate_nothing() -> None:
    found = measure_inflation(*draw(40, 3, likeness=0.0), seed=1)
    assert found is not None
    assert abs(found.points) < 8


@pytest.mark.parametrize(
    ("groups", "size", "unknown"),
    [
        pytest.param(20, 1, (), id="every image is its own group"),
        pytest.param(3, 5, (), id="fewer groups of a class than folds"),
        pytest.param(12, 5, (0, 1), id="one known class"),
        pytest.param(12, 5, (0, 1, 2), id="no known class"),
    ],
)
def test_what_cannot_be_measured_is_none(groups: int, size: int, unknown: tuple[int, ...]) -> None:
    assert measure_inflation(*draw(groups, size, 1.0, unknown), seed=1) is None


def test_held_out_classes_do_not_count_and_large_sets_are_drawn_by_whole_groups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outputs, splits = draw(12, 5, 1.0, unknown=(2,))
    found = measure_inflation(outputs, splits, seed=1)
    assert found is not None
    assert (found.num_images, found.num_groups) == (120, 24)
    monkeypatch.setattr(split_inflation, "MAX_IMAGES", 90)
    drawn = measure_inflation(outputs, splits, seed=1)
    assert drawn is not None
    assert (drawn.num_images, drawn.num_groups) == (90, 18)

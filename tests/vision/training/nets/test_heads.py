"""The logistic head agrees with scikit-learn, keeps groups together and reads raw embeddings."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.base.errors import TrainingError
from vision.base.record import FloatArray, IntArray
from vision.training.nets.heads import (
    MAX_FOLDS,
    HeadTrial,
    assign_folds,
    choose_head,
    fit_heads,
    head_logits,
)

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]


def make_features(
    num_classes: int = 3, num: int = 120, width: int = 6
) -> tuple[FloatArray, IntArray, NDArray[np.str_]]:
    rng = np.random.default_rng(1)
    labels = np.arange(num) % num_classes
    centres = rng.normal(0, 1.0, (num_classes, width))
    features = (centres[labels] + rng.normal(0, 1.0, (num, width))) * rng.uniform(0.5, 4, width) + 3
    groups = np.array([f"g{i // (2 * num_classes)}" for i in range(num)])
    return features.astype(np.float32), labels, groups


def fit(
    features: FloatArray,
    labels: IntArray,
    groups: NDArray[np.str_],
    strengths: tuple[float, ...] = (0.01, 0.1, 1.0),
) -> list[HeadTrial]:
    weights = np.ones(len(labels), np.float32)
    folds = assign_folds(labels, groups, 0)
    return fit_heads(features, labels, folds, weights, int(labels.max()) + 1, strengths)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_a_head_on_raw_embeddings_equals_regression_on_standardised_ones(num_classes: int) -> None:
    features, labels, groups = make_features(num_classes)
    (trial,) = fit(features, labels, groups, (0.3,))
    standard = (features - features.mean(0)) / features.std(0)
    reference = LogisticRegression(C=0.3, max_iter=1000, tol=1e-8).fit(standard, labels)
    logits = head_logits(features, trial).astype(np.float64)
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert_allclose(probs / probs.sum(axis=1, keepdims=True), reference.predict_proba(standard), atol=5e-3)


def test_strengths_are_tried_in_ascending_order_and_the_lowest_nll_is_chosen() -> None:
    trials = fit(*make_features(), strengths=(1.0, 0.001, 0.1))
    assert [trial.strength for trial in trials] == [0.001, 0.1, 1.0]
    assert trials[choose_head(trials)].nll == min(trial.nll for trial in trials)


def test_groups_that_carry_the_answer_do_not_help_out_of_fold() -> None:
    rng = np.random.default_rng(2)
    groups = np.arange(120) // 4
    labels = groups % 2
    features = rng.normal(0, 1, (30, 40))[groups].astype(np.float32)
    (trial,) = fit(features, labels, groups.astype(str), (10.0,))

    assert (head_logits(features, trial).argmax(1) == labels).all()
    assert trial.accuracy < 0.8


def test_the_head_of_a_fold_answers_its_images_without_having_seen_them() -> None:
    features, labels, groups = make_features()
    folds = assign_folds(labels, groups, 0)
    assert len(set(folds)) == MAX_FOLDS
    assert all(len(set(folds[groups == group])) == 1 for group in set(groups))
    (trial,) = fit(features, labels, groups, (0.3,))
    changed = np.where(folds == 2, (labels + 1) % 3, labels)
    (other,) = fit_heads(features, changed, folds, np.ones(120, np.float32), 3, (0.3,))
    assert_array_equal(trial.fold_kernels[2], other.fold_kernels[2])
    assert not np.allclose(trial.fold_kernels[1], other.fold_kernels[1])


@pytest.mark.parametrize("seed", range(20))
def test_two_groups_of_a_class_lie_in_two_folds_though_another_class_is_tiny(seed: int) -> None:
    groups = np.array([f"g{i // 4}" for i in range(80)] + ["a", "a", "b", "b", "c", "d", "d"])
    labels = np.array([0] * 80 + [1] * 4 + [2] * 3)
    folds = assign_folds(labels, groups, seed)
    assert len(set(folds)) == MAX_FOLDS
    for name in set(groups):
        assert len(set(folds[groups == name])) == 1
    assert all(len(set(folds[labels == each])) == 2 for each in (1, 2))


def test_a_nearly_dead_feature_gets_no_huge_kernel_entry() -> None:
    features, labels, groups = make_features()
    features[:, 0] = 1e-7 * labels
    trials = fit(features, labels, groups)
    assert np.abs(trials[-1].kernel[0]).max() < 10


def test_a_class_of_one_group_can_be_fitted() -> None:
    features, labels, _ = make_features()
    groups = np.where(labels == 0, "only", np.array([f"g{i // 6}" for i in range(len(labels))]))
    trials = fit(features, labels, groups)
    assert all(np.isfinite(trial.nll) for trial in trials)


def test_one_group_for_everything_chooses_the_strongest_regularisation() -> None:
    features, labels, _ = make_features()
    trials = fit(features, labels, np.full(len(labels), "same"))
    assert choose_head(trials) == 0


def test_a_class_without_images_and_infinite_features_are_refused() -> None:
    features, labels, groups = make_features()
    with pytest.raises(TrainingError, match=r"Classes \[0\] have no training image"):
        fit(features[labels > 0], labels[labels > 0], groups[labels > 0])
    features[3, 2] = np.inf
    with pytest.raises(TrainingError, match="not finite"):
        fit(features, labels, groups)

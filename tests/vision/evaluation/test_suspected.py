"""Planted wrong labels come first, and the map of embeddings is the same twice."""

from __future__ import annotations

import numpy as np

from tests.vision.toy import make_held_out
from vision.base.softmax import softmax
from vision.evaluation.embedding_map import MOST, project, sample_positions
from vision.evaluation.suspected import count_confusions, find_suspects, margins, rank_groups
from vision.training.nets.heads import assign_folds, choose_head, fit_heads


def test_margins_by_hand() -> None:
    found, best = margins(np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]), np.array([0, 1]))
    np.testing.assert_allclose(found, [0.75, 0.35])
    assert best.tolist() == [1, 2]


def test_planted_wrong_labels_lie_at_the_top() -> None:
    rng = np.random.default_rng(5)
    truth = np.repeat(np.arange(4), 60)
    embeddings = (2.2 * np.eye(4, 8)[truth] + rng.normal(0, 0.5, (240, 8))).astype(np.float32)
    planted = rng.choice(240, 20, replace=False)
    labels = truth.copy()
    labels[planted] = (truth[planted] + rng.integers(1, 4, 20)) % 4
    groups = np.array([f"fish {i}" for i in range(240)])
    folds = assign_folds(labels, groups, seed=1)
    trials = fit_heads(embeddings, labels, folds, np.ones(240), 4, [0.01, 0.1, 1.0])
    best = trials[choose_head(trials)]
    logits = np.einsum("nd,ndk->nk", embeddings, best.fold_kernels[folds]) + best.fold_biases[folds]

    suspects = find_suspects(make_held_out(logits, labels))

    first = {each.row for each in suspects[:20]}
    assert len(first & set(planted.tolist())) >= 18
    assert [each.margin for each in suspects] == sorted(each.margin for each in suspects)
    right = [each.suggestion == truth[each.row] for each in suspects if each.row in planted]
    assert np.mean(right) >= 0.9
    assert sum(len(found) for _, _, found in count_confusions(suspects)) == len(suspects)


def test_a_wholly_mislabelled_group_has_a_low_margin_of_its_own() -> None:
    logits = np.log(np.array([[0.1, 0.9], [0.3, 0.7], [0.4, 0.6], [0.9, 0.1]]))
    held_out = make_held_out(logits, np.zeros(4, np.int64), ["a", "a", "b", "b"])
    suspects = find_suspects(held_out)
    groups = {each.group: each.group_margin for each in suspects}
    assert [(each.row, each.group) for each in rank_groups(suspects)] == [(0, "a"), (2, "b")]
    probs = softmax(logits)
    both = (probs[:, 0] - probs[:, 1] + 1) / 2
    assert np.isclose(groups["a"], both[:2].mean())
    assert np.isclose(groups["b"], both[2:].mean())


def test_the_map_is_the_same_twice_and_keeps_clusters_together() -> None:
    rng = np.random.default_rng(0)
    cluster = np.repeat([0, 1], 30)
    embeddings = (8 * np.eye(2, 6)[cluster] + rng.normal(0, 1, (60, 6))).astype(np.float32)
    places = project(embeddings, 3)
    np.testing.assert_array_equal(places, project(embeddings, 3))
    assert places.min() >= 0
    assert places.max() <= 1
    distances = np.linalg.norm(places[:, None] - places[None], axis=2) + 9 * np.eye(60)
    assert (cluster[distances.argmin(axis=1)] == cluster).all()
    assert project(embeddings[:2], 3).shape == (2, 2)
    assert len(sample_positions(MOST + 50, 0)) == MOST

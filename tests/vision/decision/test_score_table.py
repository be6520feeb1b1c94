"""What every unknown score keeps to, whoever adds it: a row that fails here is no score."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import roc_auc_score

from tests.vision.decision.clusters import Clusters, score
from vision.base.errors import TooFewImagesError
from vision.config.decision import UnknownSettings
from vision.decision import scores
from vision.decision.formulas import MOST_ALONE
from vision.decision.scores import SCORES, OodScore

EVERY = pytest.mark.parametrize("name", SCORES)


def test_the_table_and_the_settings_name_the_same_scores() -> None:
    named = set(get_args(UnknownSettings.model_fields["score"].annotation))
    assert named == {name.value for name in SCORES} == {name.value for name in OodScore}


@EVERY
def test_a_row_either_measures_or_combines_rows_that_measure(name: OodScore) -> None:
    row = SCORES[name]
    assert row.name == name
    assert row.description
    assert (row.measure is None) == bool(row.parts)
    assert all(SCORES[part].measure for part in row.parts)


@EVERY
def test_unknown_images_score_higher(name: OodScore) -> None:
    """Unknown is the positive class: what lies off every cluster, where the logits do not decide."""
    clusters = Clusters(k=3, d=8)
    detector = clusters.fit()
    known, _ = clusters.known(90)
    centre = clusters.means.mean(axis=0)
    off = np.linalg.svd(clusters.means - centre)[2][-1]
    off -= off @ centre / (centre @ centre) * centre
    unknown = clusters.outputs(9 * off + 0.1 * clusters.rng.normal(size=(90, 8)))
    values = np.concatenate([score(detector, known, name), score(detector, unknown, name)])
    assert roc_auc_score(np.repeat([0, 1], 90), values) > 0.9


@EVERY
def test_the_score_of_many_images_is_that_of_each_alone(
    name: OodScore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "CHUNK_ROWS", 4)
    clusters = Clusters()
    detector = clusters.fit(score=name.value)
    images, _ = clusters.known(9)
    together = score(detector, images)
    assert together.dtype == np.float64
    alone = [score(detector, images.take(np.array([i])))[0] for i in range(9)]
    assert_allclose(together, alone, rtol=1e-5, atol=1e-5)
    assert score(detector, images.take(np.zeros(0, int))).shape == (0,)


@EVERY
def test_frames_of_a_group_in_any_order_give_the_same_score(name: OodScore) -> None:
    clusters = Clusters()
    (train, labels), (validation, _), (probe, _) = (clusters.known(num) for num in (60, 30, 12))
    groups = np.array([f"g{i // 4}" for i in range(60)])
    order = np.random.default_rng(1).permutation(60)
    shuffled = clusters.outputs(train.embeddings[order], train.quality[order])
    fits = [
        clusters.fit(train=each, train_labels=labels[rows], train_groups=groups[rows], validation=validation)
        for each, rows in ((train, np.arange(60)), (shuffled, order))
    ]
    first, second = (score(each, probe, name) for each in fits)
    assert_allclose(first, second, rtol=1e-3, atol=1e-3)


@EVERY
@pytest.mark.parametrize("side", ["one class", "one validation image"])
def test_one_sided_input_is_refused(name: OodScore, side: str) -> None:
    clusters = Clusters(k=1) if side == "one class" else Clusters()
    validation, _ = clusters.known(1 if side == "one validation image" else 60)
    with pytest.raises(TooFewImagesError, match="expected at least two"):
        clusters.fit(score=name.value, validation=validation)


@pytest.mark.parametrize(
    "kind", ["wide", "duplicates", "zeros", "dead_units", "two_classes", "constant", "tiny"]
)
def test_awkward_embeddings_give_finite_scores(kind: str) -> None:
    clusters = Clusters(k=2 if kind == "two_classes" else 3, d=64 if kind == "wide" else 8)
    num = 6 if kind == "tiny" else 24
    train, labels = clusters.known(num)
    embeddings = train.embeddings.copy()
    if kind == "duplicates":
        embeddings = embeddings[labels]
    elif kind == "zeros":
        embeddings[:5] = 0
    elif kind == "dead_units":
        embeddings[:, 3:] = 0
    elif kind == "constant":
        embeddings[:] = 1.5
    train = clusters.outputs(embeddings)
    detector = clusters.fit(num, train=train, train_labels=labels)
    probe, _ = clusters.known(12)
    for outputs in (train, probe, clusters.outputs(np.zeros((2, embeddings.shape[1])))):
        assert all(np.isfinite(score(detector, outputs, name)).all() for name in SCORES)


@EVERY
def test_of_few_images_each_has_the_score_that_it_has_alone_to_the_bit(name: OodScore) -> None:
    """An answer does not depend on what else is asked: in a service, in a batch, in one that goes on."""
    clusters = Clusters(k=40, d=64)
    detector = clusters.fit(score=name.value)
    images, _ = clusters.known(40)
    images = images.take(np.arange(MOST_ALONE))
    alone = [score(detector, images.take(np.array([row])))[0] for row in range(MOST_ALONE)]
    for count in (2, 7, 15, MOST_ALONE):
        parts = [
            score(detector, images.take(np.arange(start, min(start + count, MOST_ALONE))))
            for start in range(0, MOST_ALONE, count)
        ]
        assert_array_equal(np.concatenate(parts), alone)

"""Held-out answers come from heads and detectors that have not seen the image, whatever the folds are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests.vision.decision.clusters import Clusters
from tests.vision.toy import make_splits
from vision.base.errors import TooFewImagesError
from vision.base.outputs import FoldHeads, ModelOutputs
from vision.base.record import FloatArray, IntArray
from vision.data.records import Split, Splits
from vision.decision.cross_fitting import hold_out
from vision.decision.held_out import HeldOut
from vision.decision.scores import OodScore, score_unknown

NUM, CLASSES = 90, ("angler", "bream", "cod")


def make_case(folds: IntArray | None = None) -> tuple[ModelOutputs, FoldHeads, Splits]:
    """Ninety images of three classes, two a group, in five folds; the head of a fold adds its number."""
    clusters = Clusters()
    outputs, labels = clusters.known(NUM)
    rows = [
        (CLASSES[label], f"g{i // 6}_{label}", (Split.TRAIN, Split.VALIDATION, Split.CALIBRATION)[i % 3])
        for i, label in enumerate(labels)
    ]
    splits = make_splits(list(rows), CLASSES)
    dealt = np.arange(NUM) // 6 % 5 if folds is None else folds
    num_folds = int(dealt.max()) + 1
    biases = clusters.bias + np.arange(num_folds)[:, None] * np.array([0.1, 0.0, 0.0])
    heads = FoldHeads(np.arange(NUM), dealt, np.stack([clusters.kernel] * num_folds), biases)
    return outputs, heads, splits


def assert_same(first: HeldOut, second: HeldOut, rows: IntArray) -> None:
    for left, right in zip(
        first.at(rows).to_arrays().items(), second.at(rows).to_arrays().items(), strict=True
    ):
        assert_array_equal(left[1], right[1], err_msg=left[0])


@pytest.mark.parametrize("score", ["ewk", "knn", "msp"])
def test_every_image_is_held_out_once_by_the_head_of_its_fold(score: str) -> None:
    outputs, heads, splits = make_case()
    detector, held = hold_out(outputs, heads, splits, score, 0)
    assert held.for_rule.all()
    assert_array_equal(held.rows, np.arange(NUM))
    assert_array_equal(held.labels, splits.labels())
    expected = outputs.embeddings @ heads.kernels[0] + heads.biases[heads.folds]
    assert_allclose(held.logits, expected, rtol=1e-5)
    assert np.isfinite(held.scores[OodScore(score)]).all()
    seen = outputs.logits, outputs.embeddings
    assert np.isfinite(score_unknown(detector, *seen)).all()


def test_an_image_does_not_move_its_own_score_but_that_of_others() -> None:
    outputs, heads, splits = make_case()
    moved = outputs.embeddings.copy()
    moved[7] += 5.0
    before, after = (
        hold_out(replace(outputs, embeddings=each), heads, splits, "knn", 0)[1].scores[OodScore.KNN]
        for each in (outputs.embeddings, moved)
    )
    same_fold = heads.folds == heads.folds[7]
    same_fold[7] = False
    assert_allclose(before[same_fold], after[same_fold])
    assert not np.allclose(before[heads.folds != heads.folds[7]], after[heads.folds != heads.folds[7]])
    in_sample = score_unknown(
        hold_out(outputs, heads, splits, "knn", 0)[0], outputs.logits, outputs.embeddings
    )
    assert before.mean() > in_sample.mean()  # an image finds itself in a bank that holds it


@pytest.mark.parametrize("cross", [True, False])
def test_stranger_scores_are_held_out_too_and_give_the_rule_a_threshold(cross: bool) -> None:
    outputs, heads, splits = make_case()
    early = np.random.default_rng(4).normal(size=(NUM, 4)).astype(np.float32)
    early[5] += 9.0
    if not cross:
        heads, dealt = FoldHeads.none(), (Split.TRAIN, Split.CALIBRATION, Split.VALIDATION)
        splits = splits.model_copy(update={"splits": tuple(dealt[i // 3 % 3] for i in range(NUM))})
    _, held = hold_out(replace(outputs, early=early), heads, splits, "msp", 0)
    assert held.stranger_scores is not None
    assert held.stranger_scores.argmax() == np.flatnonzero(held.rows == 5)[0]
    again = HeldOut.from_arrays(held.to_arrays())
    assert_array_equal(again.for_fitting().stranger_scores, held.for_fitting().stranger_scores)
    assert hold_out(outputs, heads, splits, "msp", 0)[1].stranger_scores is None


def test_a_class_in_one_fold_alone_is_left_out_and_the_others_stay() -> None:
    outputs, heads, splits = make_case()
    folds = np.where(splits.labels() == 2, 4, heads.folds)
    _, held = hold_out(outputs, replace(heads, folds=folds), splits, "ewk", 0)
    assert_array_equal(held.rows, np.flatnonzero(splits.labels() != 2))
    untaught = folds[held.rows] == 4
    assert (held.logits[untaught, 2] < held.logits[untaught, :2].min(axis=1)).all()


def test_an_empty_fold_changes_nothing() -> None:
    outputs, heads, splits = make_case()
    folds = np.where(heads.folds == 4, 0, heads.folds)
    five = hold_out(outputs, replace(heads, folds=folds), splits, "ewk", 0)[1]
    four = hold_out(
        outputs, FoldHeads(heads.rows, folds, heads.kernels[:4], heads.biases[:4]), splits, "ewk", 0
    )[1]
    assert_same(five, four, np.arange(NUM))


def test_where_every_class_lies_in_one_fold_nothing_can_be_held_out() -> None:
    outputs, heads, splits = make_case()
    with pytest.raises(TooFewImagesError, match="every class lies in one group"):
        hold_out(outputs, replace(heads, folds=splits.labels()), splits, "ewk", 0)


def test_held_out_answers_come_back_from_their_arrays() -> None:
    outputs, heads, splits = make_case()
    _, held = hold_out(outputs, heads, splits, "ewk", 0)
    again = HeldOut.from_arrays(held.to_arrays())
    assert set(again.scores) == {OodScore.EWK, OodScore.MSP}
    assert_same(held, again, held.rows)
    labelled = held.label(outputs, splits)
    values: FloatArray = labelled.outputs.logits
    assert_array_equal(values, held.logits)

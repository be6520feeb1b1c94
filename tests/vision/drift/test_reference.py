"""A reference keeps the calibration images as they were answered, and of many as many groups as it can."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from tests.vision.toy import make_held_out, make_outputs, make_rule, make_splits
from vision.base.arrays import pack_arrays
from vision.base.errors import BundleError
from vision.data.quality import QUALITY_COLUMNS
from vision.data.records import Split
from vision.drift.reference import (
    DriftReference,
    cap_frames,
    make_reference,
    read_reference,
    round_embeddings,
    save_reference,
    thin_rows,
)

KNOWN = ("bream", "cod")
SPLITS = make_splits(
    [
        ("bream", "train0", Split.TRAIN),
        ("bream", "b", Split.CALIBRATION),
        ("cod", "a", Split.CALIBRATION),
        ("bream", "b", Split.CALIBRATION),
        ("eel", "e", Split.CALIBRATION),
        ("cod", "test0", Split.TEST),
    ],
    KNOWN,
)
OUTPUTS = make_outputs([[9, 0], [2, 0], [0.1, 0], [0, 3], [5, 5], [0, 9]])


def make_toy_reference() -> DriftReference:
    held_out = make_held_out(OUTPUTS.logits, SPLITS.labels(), SPLITS.groups)
    calibration = np.isin(held_out.rows, SPLITS.rows(Split.CALIBRATION))
    held_out = replace(held_out, for_rule=calibration)
    return make_reference(OUTPUTS, held_out, make_rule(KNOWN, unknown_above=0.4, temperature=2.0))


def test_the_reference_is_the_known_calibration_images_sorted_by_group() -> None:
    reference = make_toy_reference()
    assert_array_equal(reference.logits, np.array([[0.1, 0], [2, 0], [0, 3]], dtype=np.float32))
    assert_array_equal(reference.groups, [0, 1, 1])
    assert reference.num_groups == 2
    assert reference.class_names == KNOWN
    assert reference.temperature == 2.0
    assert reference.quality_columns == QUALITY_COLUMNS
    assert reference.embeddings.dtype == np.float16


def test_the_rule_that_is_served_says_which_of_them_are_called_unknown() -> None:
    # one minus the maximum softmax of (0.1, 0) is 0.475, above 0.4; that of (2, 0) is 0.12
    assert_array_equal(make_toy_reference().called_unknown, [True, False, False])


def test_equal_references_give_equal_bytes_and_come_back(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        save_reference(make_toy_reference(), tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    stored = read_reference(tmp_path / "a.npz")
    assert stored.class_names == KNOWN
    assert stored.temperature == 2.0
    assert_array_equal(stored.embeddings, make_toy_reference().embeddings, strict=True)


def test_arrays_that_are_no_reference_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "reference.npz"
    path.write_bytes(pack_arrays({"kernel": np.eye(2)}))
    with pytest.raises(BundleError, match="holds kernel; expected a drift reference"):
        read_reference(path)


def test_an_embedding_beyond_half_precision_stays_finite() -> None:
    assert_array_equal(round_embeddings(np.array([[1e9, -1e9, 0.5]])), [[65504.0, -65504.0, 0.5]])


def test_frames_go_before_groups() -> None:
    groups = np.repeat(np.arange(10), 20)  # ten groups of twenty frames
    kept = thin_rows(groups, 45, np.random.default_rng(0))
    assert_array_equal(np.bincount(groups[kept]), [4] * 10)


def test_where_one_frame_of_each_is_too_many_groups_are_drawn() -> None:
    kept = thin_rows(np.repeat(np.arange(50), 3), 20, np.random.default_rng(0))
    assert len(kept) == len(np.unique(kept // 3)) == 20


def test_one_group_of_many_frames_is_thinned() -> None:
    assert len(thin_rows(np.zeros(5000, dtype=np.int64), 2000, np.random.default_rng(0))) == 2000


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=20),
    limit=st.integers(1, 120),
    seed=st.integers(0, 99),
)
def test_thinned_rows_are_ascending_distinct_and_within_the_limit(
    sizes: list[int], limit: int, seed: int
) -> None:
    groups = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    kept = thin_rows(groups, limit, np.random.default_rng(seed))
    assert len(kept) <= limit
    assert (np.diff(kept) > 0).all()
    assert len(np.unique(groups[kept])) == min(len(sizes), limit)
    assert np.bincount(groups[cap_frames(groups, 3, np.random.default_rng(seed))]).max() <= 3

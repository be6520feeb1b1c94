"""Answers of one individual count once, whatever their number; groups that were guessed are said to be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from tests.vision.drift.test_verdict import PLAIN, Sample, judge, make_reference, make_window, take
from vision.drift.permutation import draw_assignments
from vision.drift.questions import ask_embedding, ask_unknown_rate
from vision.drift.records import DriftStatus
from vision.drift.window import Pool, find_groups, find_typical, pool_sides


def test_groups_are_those_of_a_client() -> None:
    clients = np.array(["a", "b", "a", "b"])
    window = replace(take(PLAIN, np.arange(4)), clients=clients, groups=np.array(["x", "x", "x", "y"]))
    assert find_groups(window, 60.0).tolist() == [0, 1, 0, 2]


def test_answers_without_a_group_are_joined_to_bursts_of_their_client() -> None:
    window = replace(
        take(PLAIN, np.arange(6)),
        clients=np.array(["a", "a", "a", "b", "a", "a"]),
        groups=np.array(["", "", "", "", "x", ""]),
        times=np.array([100.0, 0.0, 160.0, 50.0, 130.0, 220.5]),
    )
    # client a by time: 0 | 100, 160 | 220.5 where a pause is longer than 60 seconds; 60 itself is none
    groups = find_groups(window, 60.0)
    assert len(np.unique(groups)) == 5
    assert groups[0] == groups[2]
    assert len({int(groups[i]) for i in (0, 1, 3, 4, 5)}) == 5


def test_a_window_without_groups_is_unverified() -> None:
    times = PLAIN.times + 1000.0 * np.repeat(np.arange(40), 3)
    report = judge(replace(PLAIN, groups=np.full(120, ""), times=times))
    assert not report.verified
    assert report.num_groups == 40
    assert report.num_ungrouped == 120
    assert report.status is DriftStatus.QUIET
    assert "unverified: 120 of 120 images came without a group" in report.reasons[-1]


def test_one_answer_without_a_group_makes_the_verdict_unverified() -> None:
    groups = PLAIN.groups.copy()
    groups[7] = ""
    report = judge(replace(PLAIN, groups=groups))
    assert not report.verified
    assert report.num_ungrouped == 1


def test_groups_of_one_image_each_are_unverified_where_the_reference_has_several() -> None:
    window = replace(PLAIN, groups=np.array([f"frame{i}" for i in range(120)], dtype=np.str_))
    report = judge(window)
    assert report.num_ungrouped == 0
    assert not report.verified
    assert any(
        "unverified: 120 of 120 groups have one image each, while those of the reference have 2.0" in reason
        and "groups seem to be single frames" in reason
        for reason in report.reasons
    )
    few = judge(take(window, np.arange(60)))
    assert few.status is DriftStatus.INSUFFICIENT
    assert any("groups seem to be single frames" in reason for reason in few.reasons)


def test_groups_of_one_image_each_are_believed_where_the_reference_has_no_others_or_some_have_more() -> None:
    single = replace(PLAIN, groups=np.array([f"frame{i}" for i in range(120)], dtype=np.str_))
    assert judge(single, make_reference(frames=1)).verified
    some = replace(single, groups=np.array([f"frame{max(i, 12)}" for i in range(120)], dtype=np.str_))
    sizes = np.unique(some.groups, return_counts=True)[1]
    assert (sizes == 1).mean() > 0.95
    assert not judge(some).verified
    pairs = replace(single, groups=np.array([f"frame{i // 2 if i < 20 else i}" for i in range(120)]))
    assert judge(pairs).verified


def test_a_steady_stream_without_groups_is_one_burst_and_insufficient() -> None:
    report = judge(replace(PLAIN, groups=np.full(120, "")))
    assert report.status is DriftStatus.INSUFFICIENT
    assert report.num_groups == 1
    assert any("send `group`" in reason for reason in report.reasons)


def test_the_side_of_more_groups_is_cut_to_the_size_of_the_others() -> None:
    reference = make_reference(num_groups=60, frames=6)
    single = make_window(Sample(1, 50, 1))
    pool = pool_sides(reference, single, find_groups(single, 60.0), 2000, np.random.default_rng(0))
    assert np.bincount(pool.groups).tolist() == [1] * 110
    larger = make_window(Sample(1, 20, 10))
    pool = pool_sides(reference, larger, find_groups(larger, 60.0), 2000, np.random.default_rng(0))
    assert np.bincount(pool.groups).tolist() == [6] * 60 + [10] * 20
    assert np.bincount(pool.level(np.random.default_rng(0)).groups).tolist() == [6] * 80
    more = make_window(Sample(1, 61, 10))
    pool = pool_sides(reference, more, find_groups(more, 60.0), 2000, np.random.default_rng(0))
    assert np.bincount(pool.groups).tolist() == [6] * 121


def test_the_typical_size_of_groups_is_the_harmonic_mean() -> None:
    assert find_typical(np.array([1, 1, 2])) == 1  # 3 / 2.5
    assert find_typical(np.array([2, 2, 6, 6])) == 3
    assert find_typical(np.full(7, 5)) == 5


@pytest.mark.slow
def test_a_threshold_fitted_on_the_reference_does_not_raise_the_unknown_rate_of_longer_groups() -> None:
    alarms, num_rounds = 0, 300
    for i in range(num_rounds):
        rng = np.random.default_rng([8, i])
        earlier, later = rng.integers(1, 3, 100), rng.integers(1, 6, 40)
        groups = np.repeat(np.arange(140), np.concatenate([earlier, later]))
        scores = rng.normal(size=len(groups))
        threshold = np.sort(scores[groups < 100])[-2]  # one image of the reference lies above it
        pool = Pool(
            embeddings=scores[:, None],
            quality=scores[:, None],
            probs=np.ones((len(groups), 1)),
            called_unknown=scores > threshold,
            groups=groups,
            num_reference_groups=100,
        )
        alarms += ask_unknown_rate(pool, draw_assignments(100, 40, 99, rng), 0.05, rng).fired
    assert alarms <= binom.ppf(0.9999, num_rounds, 0.05)


@pytest.mark.parametrize(("earlier", "later"), [((60, 4), (120, 1)), ((120, 1), (30, 5))])
def test_wide_embeddings_of_groups_of_another_length_are_no_drift(
    earlier: tuple[int, int], later: tuple[int, int]
) -> None:
    alarms = 0
    for i in range(6):
        rng = np.random.default_rng([11, i])
        sizes = np.concatenate([np.full(*earlier), np.full(*later)])
        groups = np.repeat(np.arange(len(sizes)), sizes)
        individuals = rng.normal(size=(len(sizes), 400))[groups]
        pool = Pool(
            embeddings=0.9 * individuals + 0.45 * rng.normal(size=individuals.shape),
            quality=np.zeros((len(groups), 1)),
            probs=np.ones((len(groups), 1)),
            called_unknown=np.zeros(len(groups), dtype=bool),
            groups=groups,
            num_reference_groups=earlier[0],
        )
        alarms += ask_embedding(pool, draw_assignments(earlier[0], later[0], 99, rng), 0.05, rng).fired
    assert alarms <= 2

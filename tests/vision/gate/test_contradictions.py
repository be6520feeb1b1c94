"""Wrong labels are seen where the champion is sure of ordinary images, and strange images are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from vision.base.resampling import exact_interval
from vision.config.gate import GateSettings
from vision.gate.contradictions import (
    MOST_LISTED,
    NewLabels,
    check_labels,
    list_contradictions,
)

SETTINGS = GateSettings()
NAMES = ("bream", "cod", "dab", "eel")


def make_new(per_class: int = 6, frames: int = 2) -> NewLabels:
    """Images of four classes, all answered as labelled, sure and ordinary."""
    labels = np.repeat(np.array(NAMES), per_class * frames)
    num = len(labels)
    return NewLabels(
        rows=np.arange(100, 100 + num),
        groups=np.array([f"g{i // frames}" for i in range(num)]),
        labels=labels,
        answers=labels.copy(),
        confidence=np.full(num, 0.95),
        p_values=np.full(num, 0.5),
    )


def swap(new: NewLabels, first: str = "bream", second: str = "cod") -> NewLabels:
    """The labels of two classes changed places."""
    labels = new.labels.copy()
    labels[new.labels == first], labels[new.labels == second] = second, first
    return replace(new, labels=labels)


def shuffle(new: NewLabels, seed: int = 0) -> NewLabels:
    """The labels of whole groups shuffled."""
    names, first, members = np.unique(new.groups, return_index=True, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    return replace(new, labels=new.labels[first][order][members])


def passes(new: NewLabels, gate: GateSettings = SETTINGS) -> bool:
    return check_labels(new, gate, 0.95).passed


def test_labels_that_the_champion_agrees_with_are_believed() -> None:
    check = check_labels(make_new(), SETTINGS, 0.95)
    assert check.passed
    assert "of 24 groups of new images, 0 are contradicted: 0.000 (0.000 to " in check.message
    assert list_contradictions(make_new(), SETTINGS) == ()


def test_no_new_image_is_no_fault() -> None:
    check = check_labels(NewLabels.none(), SETTINGS, 0.95)
    assert check.passed
    assert "No labelled image" in check.message
    assert list_contradictions(NewLabels.none(), SETTINGS) == ()


def test_two_swapped_classes_are_named() -> None:
    check = check_labels(swap(make_new()), SETTINGS, 0.95)
    assert not check.passed
    assert (
        "12 groups labelled bream or cod and called the other, 12 are contradicted: 1.000 (0.735"
        in check.message
    )
    assert "eel" not in check.message
    assert "gate.max_contradicted: 1" in check.message


def test_two_swapped_classes_are_found_among_fifty() -> None:
    names = [f"class{i:02d}" for i in range(50)]
    labels = np.repeat(names, 4)
    new = replace(make_new(50, 1), labels=labels, answers=labels.copy())
    check = check_labels(swap(new, "class07", "class31"), SETTINGS, 0.95)
    assert not check.passed
    assert "class07 or class31" in check.message


@pytest.mark.parametrize(("per_class", "found"), [(1, False), (2, True)])
def test_two_groups_prove_nothing_and_four_do(per_class: int, found: bool) -> None:
    assert passes(swap(make_new(per_class))) is not found


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_labels_are_found(seed: int) -> None:
    assert not passes(shuffle(make_new(), seed))


def test_one_class_under_another_name_is_found() -> None:
    new = make_new()
    answers = new.answers.copy()
    answers[new.labels == "cod"] = "dab"
    message = check_labels(replace(new, answers=answers), SETTINGS, 0.95).message
    assert "of 6 groups labelled cod, 6 are contradicted" in message


def test_what_is_called_a_third_class_is_no_swap_of_two() -> None:
    """Two groups of a class prove nothing; those of two classes would, if they were swapped."""
    new = make_new(per_class=2)
    third = np.where(np.isin(new.labels, ["bream", "cod"]), "dab", new.labels)
    assert passes(replace(new, answers=third))
    assert not passes(swap(new))


def test_images_that_look_unusual_or_are_doubtful_say_nothing_of_their_labels() -> None:
    swapped = swap(make_new())
    assert passes(replace(swapped, p_values=np.full(48, 0.19)))
    assert passes(replace(swapped, confidence=np.full(48, 0.89)))
    assert not passes(replace(swapped, p_values=np.full(48, 0.2), confidence=np.full(48, 0.9)))


def test_a_turbid_batch_on_which_the_champion_fails_is_believed() -> None:
    """Wrong on two of three groups; it is sure of a third of its errors, and most look unusual to it."""
    rng = np.random.default_rng(3)
    new = make_new(per_class=20)
    num = 80
    wrong, sure, ordinary = (rng.random(num) < share for share in (0.67, 0.33, 0.4))
    others = np.roll(np.array(NAMES), 1)[np.searchsorted(NAMES, new.labels)]
    by_image = np.repeat(np.arange(num), 2)
    turbid = replace(
        new,
        answers=np.where(wrong[by_image], others, new.labels),
        confidence=np.where(sure, 0.95, 0.6)[by_image],
        p_values=np.where(ordinary, 0.5, 0.01)[by_image],
    )
    assert passes(turbid)


def test_strange_images_do_not_hide_a_swapped_part() -> None:
    clear, strange = swap(make_new()), make_new()
    both = NewLabels(
        rows=np.concatenate([clear.rows, strange.rows + 100]),
        groups=np.concatenate([clear.groups, np.char.add("turbid", strange.groups)]),
        labels=np.concatenate([clear.labels, strange.labels]),
        answers=np.concatenate([clear.answers, np.roll(strange.answers, 5)]),
        confidence=np.concatenate([clear.confidence, strange.confidence]),
        p_values=np.concatenate([clear.p_values, np.full(48, 0.01)]),
    )
    assert not passes(both)


def test_a_group_counts_once_however_many_images_it_has() -> None:
    new = make_new(per_class=2, frames=50)
    answers = new.answers.copy()
    answers[:100] = "cod"  # both groups labelled bream
    assert passes(replace(new, answers=answers))


def test_a_group_is_contradicted_if_most_of_its_images_are() -> None:
    new = make_new(per_class=6, frames=2)
    answers = new.answers.copy()
    answers[:12:2] = "cod"  # one of two images of every group labelled bream
    assert passes(replace(new, answers=answers))


def test_a_person_who_has_looked_can_overrule() -> None:
    assert passes(shuffle(swap(make_new())), GateSettings(max_contradicted=1.0))


def test_contradicted_images_are_listed_for_a_person_the_surest_first() -> None:
    swapped = swap(make_new(per_class=20))
    confidence = np.linspace(0.91, 0.99, len(swapped.rows))
    found = list_contradictions(replace(swapped, confidence=confidence), SETTINGS)
    assert len(found) == MOST_LISTED
    assert [each.confidence for each in found] == sorted((each.confidence for each in found), reverse=True)
    assert (found[0].row, found[0].class_name, found[0].answer) == (179, "bream", "cod")


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.3085),
        (10, 10, 0.6915, 1.0),
        (3, 3, 0.2924, 1.0),
        (2, 2, 0.1581, 1.0),
        (5, 10, 0.1871, 0.8129),
    ],
)
def test_the_exact_interval_is_that_of_clopper_and_pearson(
    hits: int, trials: int, low: float, high: float
) -> None:
    interval = exact_interval(hits, trials, 0.95)
    assert interval.low == pytest.approx(low, abs=1e-4)
    assert interval.high == pytest.approx(high, abs=1e-4)


@settings(deadline=None)
@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_ends_of_the_exact_interval_are_the_shares_at_which_the_hits_become_unlikely(
    pair: tuple[int, int],
) -> None:
    hits, trials = pair
    interval = exact_interval(hits, trials, 0.95)
    assert 0.0 <= interval.low <= interval.value <= interval.high <= 1.0
    if hits:
        assert binom.sf(hits - 1, trials, interval.low) == pytest.approx(0.025)
    if hits < trials:
        assert binom.cdf(hits, trials, interval.high) == pytest.approx(0.025)


@settings(deadline=None)
@given(st.integers(0, 2**16), st.floats(0.0, 1.0))
def test_agreeing_answers_are_never_held_against_labels(seed: int, confidence: float) -> None:
    rng = np.random.default_rng(seed)
    new = make_new()
    assert passes(replace(new, confidence=np.full(48, confidence), p_values=rng.random(48)))

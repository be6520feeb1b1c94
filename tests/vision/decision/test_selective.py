from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binom

from vision.config.decision import ReviewSettings
from vision.decision import selective
from vision.decision.records import USEFUL_COVERAGE, ReviewThreshold
from vision.decision.selective import RUNGS, Look, bound_risk, find_level, fit_review

Array = npt.NDArray[Any]
TARGET, DELTA = 0.02, 0.1
SETTINGS = ReviewSettings(target_risk=TARGET, delta=DELTA)


def none_unknown(num: int) -> Array:
    return np.zeros(num, dtype=bool)


def falling(num: int) -> Array:
    """Distinct confidences, the first image the most confident."""
    return np.linspace(0.99, 0.4, num)


def draw_errors(
    rng: np.random.Generator, sizes: Array, alike: float, base: float, slope: float
) -> tuple[Array, Array, Array]:
    """Confidence 1 - u, errors with risk base + slope u^4, groups; images of a group are `alike` or not."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    shared = (rng.random(len(sizes)) < alike)[groups]
    u = np.where(shared, rng.random(len(sizes))[groups], rng.random(len(groups)))
    luck = np.where(shared, rng.random(len(sizes))[groups], rng.random(len(groups)))
    return 1 - u, luck < base + slope * u**4, groups


def test_a_faultless_model_accepts_everything() -> None:
    review = fit_review(falling(300), np.ones(300, bool), none_unknown(300), np.arange(300), SETTINGS)
    assert review.attainable
    assert review.value == pytest.approx(0.4)
    assert (review.coverage, review.risk) == (1.0, 0.0)
    assert review.risk_bound <= 0.02
    assert (review.num_images, review.num_groups, review.design_effect) == (300, 300, 1.0)


def test_too_few_images_can_promise_nothing_however_good() -> None:
    review = fit_review(falling(113), np.ones(113, bool), none_unknown(113), np.arange(113), SETTINGS)
    assert not review.attainable
    assert review.value > 1
    assert review.coverage == 0.0
    assert np.isnan(review.risk)
    assert review.risk_bound > 0.02


def test_one_hundred_and_fourteen_faultless_images_are_the_least_that_promise_two_percent() -> None:
    for num, passes in ((113, False), (114, True)):
        look = Look(value=0.5, num_accepted=num, risk=0.0, effective_size=num, design_effect=1.0)
        assert (bound_risk(look, 0.1) <= 0.02) == passes


def test_the_bound_is_that_of_the_binomial() -> None:
    look = Look(value=0.5, num_accepted=200, risk=3 / 200, effective_size=200, design_effect=1.0)
    assert binom.cdf(3, 200, bound_risk(look, 0.1)) == pytest.approx(0.1)


def test_the_bound_of_answers_that_are_all_wrong_is_one() -> None:
    assert bound_risk(Look(0.5, 10, 1.0, 10.0, 1.0), 0.1) == 1.0


def test_the_search_stops_at_the_first_failure_after_a_pass() -> None:
    # thirty errors at ranks 300 to 329: 35% fails, though 100% (3% wrong) would pass again
    correct = np.ones(1000, bool)
    correct[300:330] = False
    settings = ReviewSettings(target_risk=0.05, delta=0.1)
    review = fit_review(falling(1000), correct, none_unknown(1000), np.arange(1000), settings)
    assert review.coverage == 0.3
    assert review.value == pytest.approx(falling(1000)[299])
    assert review.risk == 0.0


def test_failures_before_the_first_pass_are_skipped() -> None:
    # two errors at the top: 20% to 40% fail, 100% (0.2% wrong) passes
    correct = np.ones(1000, bool)
    correct[:2] = False
    review = fit_review(falling(1000), correct, none_unknown(1000), np.arange(1000), SETTINGS)
    assert review.coverage == 1.0


def test_images_called_unknown_count_neither_as_accepted_nor_as_errors() -> None:
    correct = np.ones(300, bool)
    correct[:100] = False
    review = fit_review(falling(300), correct, ~correct, np.arange(300), SETTINGS)
    assert review.attainable
    assert review.risk == 0.0
    assert review.coverage == pytest.approx(200 / 300)


def test_equal_confidences_are_accepted_together() -> None:
    confidence = np.repeat([0.9, 0.5], [200, 100])
    correct = np.repeat([True, False], [200, 100])
    review = fit_review(confidence, correct, none_unknown(300), np.arange(300), SETTINGS)
    assert review.value == 0.9
    assert review.coverage == pytest.approx(2 / 3)


def test_images_that_are_copies_of_each_other_count_once() -> None:
    groups = np.repeat(np.arange(60), 5)
    review = fit_review(falling(300), np.ones(300, bool), none_unknown(300), groups, SETTINGS)
    assert not review.attainable
    assert review.design_effect == pytest.approx(5.0)


@pytest.mark.parametrize("num", [0, 1])
def test_hardly_any_image_is_not_attainable(num: int) -> None:
    review = fit_review(falling(num), np.ones(num, bool), none_unknown(num), np.arange(num), SETTINGS)
    assert not review.attainable
    assert review.value > 1


def test_everything_called_unknown_is_not_attainable() -> None:
    review = fit_review(falling(50), np.ones(50, bool), ~none_unknown(50), np.arange(50), SETTINGS)
    assert not review.attainable


def test_several_looks_are_tested_at_a_smaller_level_and_one_at_delta() -> None:
    one = find_level(np.array([200.0]), TARGET, DELTA)
    assert 0.0 < one <= 0.1
    assert binom.cdf(1, 200, 0.02) <= one  # one error of 200 still passes
    many = find_level(np.linspace(50, 1000, 17), TARGET, DELTA)
    assert many < 0.06


def test_the_level_does_not_depend_on_looks_that_cannot_pass() -> None:
    late = np.array([200.0, 250.0, 300.0])
    assert find_level(np.concatenate([[20.0, 60.0, 100.0], late]), TARGET, DELTA) == pytest.approx(
        find_level(late, TARGET, DELTA), abs=0.01
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "alike", "base", "slope", "target"),
    [
        (np.ones(240, int), 0.0, 0.021, 0.0, 0.02),  # just too risky at every confidence
        (np.repeat([1, 2], 80), 0.5, 0.021, 0.0, 0.02),
        (np.full(100, 3), 0.9, 0.021, 0.0, 0.02),
        (np.repeat([1, 2], 80), 0.5, 0.0, 0.2, 0.02),  # the risk rises with doubt
        (np.repeat([1, 3, 8], 20), 0.5, 0.305, 0.0, 0.3),
        (np.repeat([1, 3, 8], 20), 0.5, 0.2, 0.7, 0.3),
    ],
)
def test_the_promise_is_broken_no_more_often_than_delta(
    sizes: Array, alike: float, base: float, slope: float, target: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selective, "RUNGS", (target,))  # what else could be promised is not asked here
    monkeypatch.setattr(selective, "MOST_TIMES", 1.0)
    monkeypatch.setattr(selective, "NUM_PATHS", 2000)
    rng = np.random.default_rng(0)
    settings = ReviewSettings(target_risk=target, delta=0.1)
    num_sets, broken = 100, 0
    for _ in range(num_sets):
        confidence, wrong, groups = draw_errors(rng, sizes, alike, base, slope)
        review = fit_review(confidence, ~wrong, none_unknown(len(wrong)), groups, settings)
        accepted_share = 1 - review.value  # u is uniform
        true_risk = base + slope * accepted_share**4 / 5
        broken += review.attainable and true_risk > target
    assert broken <= binom.ppf(0.995, num_sets, 0.1)


@pytest.mark.slow
def test_a_good_model_is_not_sent_to_review(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selective, "RUNGS", (TARGET,))
    monkeypatch.setattr(selective, "NUM_PATHS", 2000)
    rng = np.random.default_rng(1)
    coverages = []
    for _ in range(40):
        confidence, wrong, groups = draw_errors(rng, np.repeat([1, 2], 150), 0.5, 0.0, 0.05)
        unknown = none_unknown(len(wrong))
        coverages.append(fit_review(confidence, ~wrong, unknown, groups, SETTINGS).coverage)
    assert np.mean(coverages) > 0.65


# --- the ladder -----------------------------------------------------------------------------------------

AUTO = ReviewSettings()


def fit_with_errors(num: int, wrong: Array, settings: ReviewSettings = AUTO) -> ReviewThreshold:
    """The threshold on `num` images of falling confidence, of which `wrong` are wrong."""
    correct = np.ones(num, bool)
    correct[wrong] = False
    return fit_review(falling(num), correct, none_unknown(num), np.arange(num), settings)


@pytest.mark.parametrize(
    ("num", "step", "target"), [(2000, 1000, 0.01), (400, 100, 0.02), (200, 40, 0.05), (60, 20, 0.1)]
)
def test_auto_promises_the_strictest_rung_that_accepts_a_useful_share(
    num: int, step: int, target: float
) -> None:
    review = fit_with_errors(num, np.arange(num // 2, num, step))
    assert (review.found, review.attainable, review.target_risk) == (True, True, target)
    assert review.coverage >= USEFUL_COVERAGE
    stricter = [rung for rung in review.ladder if rung.target_risk < target]
    assert all(rung.coverage < USEFUL_COVERAGE for rung in stricter)
    assert [rung.target_risk for rung in review.ladder] == list(RUNGS)


def test_the_ladder_accepts_more_from_rung_to_rung_and_a_number_means_that_number() -> None:
    wrong = np.arange(100, 600, 10)
    ladder = fit_with_errors(600, wrong).ladder
    coverages = [rung.coverage for rung in ladder]
    assert coverages == sorted(coverages)
    assert coverages[0] < coverages[-1]
    review = fit_with_errors(600, wrong, ReviewSettings(target_risk=0.07))
    assert (review.target_risk, review.found) == (0.07, False)


def test_a_model_that_guesses_gets_no_rung_and_no_number_of_images_is_named() -> None:
    review = fit_with_errors(400, np.arange(0, 400, 2))
    assert not review.attainable
    assert review.target_risk == RUNGS[-1]
    assert review.num_needed is None


@pytest.mark.parametrize(("num", "step", "target"), [(40, 100, 0.02), (90, 30, 0.05), (150, 25, 0.05)])
def test_the_number_of_images_that_is_named_carries_the_promise(num: int, step: int, target: float) -> None:
    settings = ReviewSettings(target_risk=target)
    wrong = np.zeros(num, bool)
    wrong[num // 3 :: step] = True
    review = fit_with_errors(num, wrong, settings)
    assert not review.attainable
    assert review.num_needed is not None
    times = -(-review.num_needed // num)
    many = np.repeat(wrong, times)
    assert fit_with_errors(len(many), many, settings).attainable


@pytest.mark.slow
def test_no_rung_is_promised_falsely_more_often_than_delta(monkeypatch: pytest.MonkeyPatch) -> None:
    """The risk is 5.2% at every confidence: a promise of 5% or less would be false."""
    monkeypatch.setattr(selective, "NUM_PATHS", 2000)
    rng = np.random.default_rng(3)
    broken, num_sets = 0, 100
    for _ in range(num_sets):
        wrong = rng.random(300) < 0.052
        review = fit_review(rng.random(300), ~wrong, none_unknown(300), np.arange(300), AUTO)
        broken += review.attainable and review.target_risk < 0.052
    assert broken <= binom.ppf(0.995, num_sets, 0.1)

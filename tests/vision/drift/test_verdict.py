"""Every cause is told, in its order; too little is said in numbers; what does not matter changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pydantic import ValidationError
from scipy.stats import binom

from report.figures.drift import title_drift
from vision.base.errors import WindowError
from vision.base.record import FloatArray, IntArray
from vision.base.softmax import softmax
from vision.base.wording import count_of
from vision.config.monitoring import DriftSettings
from vision.data.quality import QUALITY_COLUMNS
from vision.drift.questions import QUANTILES, _find_quantiles
from vision.drift.records import DriftCause, DriftReport, DriftStatus
from vision.drift.reference import DriftReference, round_embeddings
from vision.drift.verdict import find_cause, judge_drift
from vision.drift.window import Window

NAMES = ("bream", "cod", "eel")
WIDTH = 6
SETTINGS = DriftSettings(permutations=199)


class Sample:
    """Images of groups whose frames are much alike: embedding, quality and class are drawn independently."""

    def __init__(
        self,
        seed: int,
        num_groups: int,
        frames: int,
        *,
        mix: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3),
        unknown: float = 0.02,
        brightness: float = 0.0,
        embedding: float = 0.0,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.groups: IntArray = np.repeat(np.arange(num_groups), frames)
        num = len(self.groups)

        def draw(width: int) -> FloatArray:
            values: FloatArray = rng.normal(size=(num_groups, width))[self.groups]
            return values + 0.3 * rng.normal(size=(num, width))

        self.embeddings = draw(WIDTH) + embedding
        self.quality = draw(len(QUALITY_COLUMNS)).astype(np.float32)
        self.quality[:, 0] += brightness
        labels = rng.choice(3, num_groups, p=mix)[self.groups]
        self.logits = (6 * np.eye(3)[labels] + rng.normal(size=(num, 3))).astype(np.float32)
        self.called_unknown = (rng.random(num_groups) < unknown)[self.groups]


def make_reference(seed: int = 0, num_groups: int = 120, frames: int = 2, **options: float) -> DriftReference:
    return reference_of(Sample(seed, num_groups, frames, **options), NAMES)  # type: ignore[arg-type]


def reference_of(sample: Any, names: tuple[str, ...]) -> DriftReference:
    """A sample as what windows are compared with."""
    return DriftReference(
        embeddings=round_embeddings(sample.embeddings),
        quality=sample.quality,
        logits=sample.logits,
        called_unknown=sample.called_unknown,
        groups=sample.groups,
        temperature=1.0,
        class_names=names,
        quality_columns=QUALITY_COLUMNS,
    )


def make_window(sample: Any) -> Window:
    num = len(sample.groups)
    return Window(
        embeddings=sample.embeddings,
        quality=sample.quality,
        logits=sample.logits,
        called_unknown=sample.called_unknown,
        clients=np.full(num, "diver"),
        groups=np.array([f"fish{group}" for group in sample.groups], dtype=np.str_),
        times=np.arange(num, dtype=float),
    )


REFERENCE = make_reference()
PLAIN = make_window(Sample(1, 40, 3))


def take(window: Window, rows: IntArray) -> Window:
    """Some answers, in the order given."""
    return Window(**{name: values[rows] for name, values in vars(window).items()})


def judge(window: Window, reference: DriftReference = REFERENCE, seed: int = 5) -> DriftReport:
    return judge_drift(reference, window, SETTINGS, seed)


# --- causes ---------------------------------------------------------------------------------------------


def test_a_window_like_the_reference_is_quiet_and_estimated() -> None:
    report = judge(PLAIN)
    assert report.status is DriftStatus.QUIET
    assert report.cause is None
    assert report.verified
    assert [test.name for test in report.tests] == ["quality", "embedding", "unknown_rate", "label_mix"]
    assert not [test for test in report.tests if test.fired]
    assert report.estimated_accuracy is not None
    assert 0.9 < report.estimated_accuracy.low <= report.estimated_accuracy.value <= 1.0
    assert [share.class_name for share in report.class_mix] == list(NAMES)
    assert sum(share.window.value for share in report.class_mix) == pytest.approx(1.0)
    assert any("an estimate without labels" in reason for reason in report.reasons)


def test_a_moved_quality_column_is_capture_and_is_named_with_its_medians() -> None:
    report = judge(make_window(Sample(1, 40, 3, brightness=1.5)))
    assert report.status is DriftStatus.DRIFT
    assert report.cause is DriftCause.CAPTURE
    assert [each.column for each in report.columns if each.moved] == ["brightness"]
    brightness = report.columns[0]
    assert brightness.window_median - brightness.reference_median == pytest.approx(1.5, abs=0.5)
    assert brightness.p_value == 1 / 200
    assert "brightness (median" in report.reasons[1]


def test_more_unknown_while_the_known_looking_stay_put_is_novelty() -> None:
    report = judge(make_window(Sample(1, 40, 3, unknown=0.5)))
    assert report.cause is DriftCause.NOVELTY
    assert [test.name for test in report.tests if test.fired] == ["unknown_rate"]
    assert report.tests[-1].name == "known_embedding"


def test_fewer_unknown_are_no_drift() -> None:
    report = judge(make_window(Sample(1, 40, 3, unknown=0.0)), make_reference(unknown=0.5))
    assert report.status is DriftStatus.QUIET


def test_moved_embeddings_are_covariate_drift() -> None:
    report = judge(make_window(Sample(1, 40, 3, embedding=1.0)))
    assert report.cause is DriftCause.COVARIATE
    assert [test.name for test in report.tests if test.fired] == ["embedding"]


def test_other_shares_of_the_classes_are_a_label_mix() -> None:
    report = judge(make_window(Sample(1, 40, 3, mix=(0.8, 0.1, 0.1))))
    assert report.cause is DriftCause.LABEL_MIX
    assert "bream" in report.reasons[1]
    assert report.class_mix[0].window.value > 0.6


def test_the_true_mix_and_accuracy_are_estimated_where_mean_probabilities_lean_to_the_old_mix() -> None:
    """Two classes that are told apart in 78% of images, exact probabilities, 50% before and 80% now."""

    def draw(sample: Sample, share: float, seed: int) -> tuple[FloatArray, FloatArray]:
        rng = np.random.default_rng(seed)
        second = np.repeat(np.arange(sample.groups[-1] + 1) >= share * (sample.groups[-1] + 1), 2)
        values = rng.normal(size=len(second)) + np.where(second, 0.74, -0.74)
        logits = np.column_stack([-0.5 * (values + 0.74) ** 2, -0.5 * (values - 0.74) ** 2])
        return logits.astype(np.float32), (values > 0) == second

    before, now = Sample(0, 400, 2, unknown=0.0), Sample(1, 800, 2, unknown=0.0)
    reference = replace(
        make_reference(num_groups=400, unknown=0.0), logits=draw(before, 0.5, 2)[0], class_names=NAMES[:2]
    )
    logits, is_right = draw(now, 0.8, 3)
    report = judge(replace(make_window(now), logits=logits), reference)
    assert report.cause is DriftCause.LABEL_MIX
    first = report.class_mix[0].window
    assert first.value == pytest.approx(0.8, abs=0.04)
    assert first.low < 0.8 < first.high
    assert softmax(logits.astype(float), 1.0)[:, 0].mean() < 0.63
    assert report.estimated_accuracy is not None
    assert report.estimated_accuracy.value == pytest.approx(is_right.mean(), abs=0.02)
    assert report.estimated_accuracy.low < is_right.mean() < report.estimated_accuracy.high
    assert any("adjusted to the estimated shares" in reason for reason in report.reasons)


def test_the_estimated_mix_counts_each_group_once_and_the_accuracy_each_image() -> None:
    many = np.flatnonzero(np.isin(PLAIN.groups, ["fish0", "fish1"]))
    window = take(PLAIN, np.concatenate([np.arange(120), *[many] * 20]))
    report = judge(window)
    assert report.cause is None
    plain, uneven = ([share.window.value for share in each.class_mix] for each in (judge(PLAIN), report))
    assert_allclose(uneven, plain, atol=0.02)
    probs = softmax(window.logits.astype(float), 1.0)[~window.called_unknown]
    assert np.abs(probs.mean(axis=0) - plain).max() > 0.2
    assert report.estimated_accuracy is not None
    assert report.estimated_accuracy.value == pytest.approx(probs.max(axis=1).mean())


def test_the_interval_of_the_estimated_accuracy_is_that_of_groups_and_not_of_images() -> None:
    """Half of 42 groups are sure, half are not; all twelve frames of a group are alike."""
    groups = np.repeat(np.arange(42), 12)
    logits = 6 * np.eye(3)[groups % 3] * np.where(groups // 3 % 2, 1.0, 0.1)[:, None]
    window = replace(make_window(Sample(1, 42, 12, unknown=0.0)), logits=logits.astype(np.float32))
    accuracy = judge(window).estimated_accuracy
    assert accuracy is not None
    of_groups = 2 * 1.96 * softmax(logits[::12], 1.0).max(axis=1).std() / np.sqrt(42)
    assert accuracy.high - accuracy.low == pytest.approx(of_groups, rel=0.2)


@pytest.mark.parametrize("changes", [{"brightness": 1.5}, {"unknown": 0.5}, {"embedding": 1.0}])
def test_nothing_is_estimated_where_confidence_is_not_to_be_trusted(changes: dict[str, float]) -> None:
    report = judge(make_window(Sample(1, 40, 3, **changes)))  # type: ignore[arg-type]
    assert report.estimated_accuracy is None
    assert report.class_mix == ()
    assert any("no accuracy is estimated" in reason for reason in report.reasons)


@pytest.mark.parametrize(
    ("fired", "cause"),
    [
        ((False, False, False, False, False), None),
        ((True, True, True, True, True), DriftCause.CAPTURE),
        ((False, True, False, False, False), DriftCause.NOVELTY),
        ((False, True, False, True, True), DriftCause.NOVELTY),
        ((False, True, True, False, False), DriftCause.COVARIATE),
        ((False, True, True, True, True), DriftCause.COVARIATE),
        ((False, False, False, True, True), DriftCause.COVARIATE),
        ((False, False, False, False, True), DriftCause.LABEL_MIX),
    ],
)
def test_the_cause_is_the_first_that_explains(
    fired: tuple[bool, bool, bool, bool, bool], cause: DriftCause | None
) -> None:
    assert find_cause(*fired) is cause


def test_shares_that_explain_the_embedding_leave_a_label_mix_and_explain_nothing_else() -> None:
    assert find_cause(False, False, False, True, True, explained=True) is DriftCause.LABEL_MIX
    assert find_cause(True, False, False, True, True, explained=True) is DriftCause.CAPTURE
    assert find_cause(False, True, True, True, True, explained=True) is DriftCause.COVARIATE


@pytest.mark.slow
def test_plain_windows_raise_no_more_false_alarms_than_four_tests_may() -> None:
    alarms = 0
    for i in range(30):
        reference = make_reference(seed=1000 + i, num_groups=50)
        report = judge(make_window(Sample(2000 + i, 25, 4)), reference, seed=i)
        alarms += report.status is DriftStatus.DRIFT
    assert alarms <= binom.ppf(0.9999, 30, 4 * SETTINGS.alpha)


# --- too little -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("num_groups", "frames", "images_missing", "groups_missing"),
    [(33, 3, 1, 0), (14, 8, 0, 1), (7, 7, 51, 8), (1, 300, 0, 14), (99, 1, 1, 0)],
)
def test_too_few_images_or_groups_say_how_many_are_missing(
    num_groups: int, frames: int, images_missing: int, groups_missing: int
) -> None:
    report = judge(make_window(Sample(1, num_groups, frames)))
    assert report.status is DriftStatus.INSUFFICIENT
    assert (report.missing_images, report.missing_groups) == (images_missing, groups_missing)
    missing = [(images_missing, "more image"), (groups_missing, "more group")]
    told = " and ".join(count_of(number, what) for number, what in missing if number)
    assert report.reasons[1] == f"needed at least: {told}"
    assert report.tests == ()


def test_an_empty_window_is_insufficient() -> None:
    report = judge(take(PLAIN, np.arange(0)))
    assert report.status is DriftStatus.INSUFFICIENT
    assert (report.num_images, report.missing_images, report.missing_groups) == (0, 100, 15)
    assert title_drift(report) == "Too little to judge: 0 images in 0 groups"


def test_exactly_enough_is_enough() -> None:
    window = make_window(Sample(1, 20, 5))
    assert len(window.times) == 100
    assert judge(window).status is not DriftStatus.INSUFFICIENT
    assert judge(take(window, np.arange(99))).status is DriftStatus.INSUFFICIENT


def test_a_reference_of_few_groups_is_insufficient_and_says_that_waiting_does_not_help() -> None:
    report = judge(PLAIN, make_reference(num_groups=14, frames=20))
    assert report.status is DriftStatus.INSUFFICIENT
    assert (report.missing_images, report.missing_groups) == (0, 0)
    assert "waiting does not help" in report.reasons[-1]


def test_settings_cannot_ask_for_fewer_than_fifty_images_or_for_a_level_out_of_reach() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 50"):
        DriftSettings(min_images=49)
    with pytest.raises(ValidationError, match=r"give no p-value below 0\.01; alpha is 0\.005"):
        DriftSettings(alpha=0.005, permutations=99)
    with pytest.raises(ValidationError, match="no window would be judged"):
        DriftSettings(window=80)


# --- what does not matter, what must not pass -----------------------------------------------------------


def test_the_order_of_the_answers_does_not_matter() -> None:
    shuffled = take(PLAIN, np.random.default_rng(3).permutation(len(PLAIN.times)))
    assert judge(shuffled) == judge(PLAIN)
    settings = SETTINGS.model_copy(update={"max_images": 100})  # thinned
    assert judge_drift(REFERENCE, shuffled, settings, 5) == judge_drift(REFERENCE, PLAIN, settings, 5)


def test_ten_thousand_answers_are_thinned_and_the_report_says_so() -> None:
    window = make_window(Sample(1, 2500, 4))
    report = judge_drift(make_reference(num_groups=200), window, SETTINGS, 1)
    assert len(report.tests) >= 4
    assert (report.num_images, report.num_groups, report.num_images_compared) == (10_000, 2500, 2000)
    assert any("2000 of the window's 10000 images were compared" in reason for reason in report.reasons)


def test_a_constant_column_never_moves_and_one_that_wakes_up_does() -> None:
    still = REFERENCE.quality.copy()
    still[:, 2] = 0.5
    reference = replace(REFERENCE, quality=still)
    same = PLAIN.quality.copy()
    same[:, 2] = 0.5
    report = judge(replace(PLAIN, quality=same), reference)
    assert (report.columns[2].statistic, report.columns[2].studentised) == (0.0, 0.0)
    assert not report.columns[2].moved
    same[:, 2] = 0.7
    report = judge(replace(PLAIN, quality=same), reference)
    assert report.columns[2].statistic == pytest.approx(1.0, abs=1e-6)
    assert report.columns[2].moved


def test_a_class_that_is_absent_on_both_sides_is_no_drift_and_one_that_vanishes_is_label_mix() -> None:
    reference = make_reference(mix=(0.5, 0.5, 0.0))  # type: ignore[arg-type]
    absent = make_window(Sample(1, 40, 3, mix=(0.5, 0.5, 0.0)))
    assert judge(absent, reference).status is DriftStatus.QUIET
    report = judge(absent)
    assert report.cause is DriftCause.LABEL_MIX
    assert report.class_mix[2].window.value < 0.05


def test_a_window_that_is_unknown_throughout_is_novelty_without_estimates() -> None:
    report = judge(replace(PLAIN, called_unknown=np.ones(120, dtype=bool)))
    assert report.cause is DriftCause.NOVELTY
    assert "known_embedding" not in [test.name for test in report.tests]
    assert report.estimated_accuracy is None


@pytest.mark.parametrize("name", ["embeddings", "quality", "logits", "times"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_no_number_is_refused_with_its_row(name: str, value: float) -> None:
    values = getattr(PLAIN, name).copy()
    values[17] = value
    with pytest.raises(WindowError, match=f"{name} hold NaN or infinity in 1 of 120 images .first: row 17"):
        judge(replace(PLAIN, **{name: values}))


@pytest.mark.parametrize("name", ["embeddings", "quality", "logits"])
def test_answers_of_another_model_are_refused(name: str) -> None:
    with pytest.raises(WindowError, match=f"{name} have shape .*not of the model"):
        judge(replace(PLAIN, **{name: getattr(PLAIN, name)[:, :2]}))


def test_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(WindowError, match="times have shape"):
        judge(replace(PLAIN, times=PLAIN.times[:5]))


def test_quantiles_weigh_each_group_once() -> None:
    window = make_window(Sample(1, 40, 3))
    window.quality[:, 0] = 0.0
    window.quality[:3, 0] = 9.0  # one group of forty
    column = judge(window).columns[0]
    assert len(column.window_quantiles) == len(QUANTILES) == 21
    assert column.window_quantiles[-1] == 9.0
    assert column.window_quantiles[:-1] == (0.0,) * 20


def test_a_group_of_many_frames_moves_the_median_no_more_than_one_of_one_frame() -> None:
    values, groups = np.array([9.0] * 6 + [1.0, 2.0]), np.array([0] * 6 + [1, 2])
    assert _find_quantiles(values, groups)[10] == 2.0

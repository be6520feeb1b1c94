"""Every yes has a cause, every no a reason; unverified drift never counts, and what is forced always runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from vision.config.gate import GateSettings
from vision.config.retraining import RetrainingSettings
from vision.drift.records import WindowVerdict
from vision.gate.records import Verdict
from vision.retraining.decide import decide_retraining, digest_gate
from vision.retraining.records import (
    Attempt,
    ChampionState,
    NewClass,
    NewImages,
    RetrainDecision,
    RetrainingEvidence,
    Trigger,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SETTINGS = RetrainingSettings()
CHAMPION = ChampionState(digest="champion", since=NOW - 20 * DAY)
NOTHING = NewImages()
SOME = NewImages(
    num_images=40, num_groups=12, classes=(NewClass(class_name="cod", num_images=40, num_groups=12),)
)
MANY = NewImages(
    num_images=120, num_groups=30, classes=(NewClass(class_name="cod", num_images=120, num_groups=30),)
)


def window(
    days_ago: float, status: str = "drift", cause: str | None = "capture", **changes: Any
) -> WindowVerdict:
    """A window of half a day that ended so many days ago."""
    fields: dict[str, Any] = {
        "model_digest": CHAMPION.digest,
        "status": status,
        "cause": cause if status == "drift" else None,
        "verified": True,
        "start": NOW - days_ago * DAY - 12 * HOUR,
        "end": NOW - days_ago * DAY,
    }
    return WindowVerdict(**{**fields, **changes})


def attempt(ago: timedelta, **changes: Any) -> Attempt:
    fields: dict[str, Any] = {
        "time": NOW - ago,
        "automatic": True,
        "champion_digest": CHAMPION.digest,
        "source_digest": "other images",
        "gate_digest": "this gate",
        "verdict": Verdict.KEPT,
    }
    return Attempt(**{**fields, **changes})


TWO = (window(2), window(1))


def decide(
    verdicts: tuple[WindowVerdict, ...] = (),
    new: NewImages = NOTHING,
    *attempts: Attempt,
    champion: ChampionState | None = CHAMPION,
    **fields: Any,
) -> RetrainDecision:
    chosen = RetrainingSettings.model_validate(fields)
    evidence = RetrainingEvidence(now=NOW, champion=champion, verdicts=verdicts, attempts=attempts)
    return decide_retraining(chosen, evidence, new, "these images", "this gate")


def words(decision: RetrainDecision) -> str:
    return " ".join(decision.reasons)


# --- drift ----------------------------------------------------------------------------------------------


def test_two_disjoint_windows_that_agree_ask_for_a_retraining_on_fewer_images() -> None:
    decision = decide(TWO, SOME)
    assert (decision.retrain, decision.trigger) == (True, Trigger.DRIFT)
    assert "capture" in words(decision)
    assert "40 labelled images (40 cod) in 12 groups" in words(decision)
    assert not decide((), SOME).retrain


@pytest.mark.parametrize(
    ("verdicts", "reason"),
    [
        ((), "No window of this champion's answers has been judged"),
        ((window(1),), "a second window, apart from it, has to agree"),
        ((window(2, "quiet"), window(1)), "is quiet: two have to agree"),
        ((window(2), window(1, "quiet")), "is quiet: no drift"),
        ((window(2, cause="novelty"), window(1)), "names another cause (novelty): two have to agree"),
        ((window(2, verified=False), window(1)), "is unverified: two have to agree"),
        ((window(2), window(1, verified=False)), "unverified: its groups were guessed"),
        ((window(2, model_digest="former"), window(1)), "a second window, apart from it, has to agree"),
        ((window(1.2), window(1)), "a second window, apart from it, has to agree"),  # they overlap
        ((window(1), window(1)), "a second window, apart from it, has to agree"),  # judged twice
        ((window(3), window(2, "quiet"), window(1)), "is quiet: two have to agree"),  # not consecutive
    ],
)
def test_less_than_two_agreeing_windows_are_no_drift(
    verdicts: tuple[WindowVerdict, ...], reason: str
) -> None:
    decision = decide(verdicts, SOME)
    assert (decision.retrain, decision.trigger) == (False, Trigger.NONE)
    assert reason in words(decision)


def test_windows_that_meet_are_apart_and_their_order_does_not_matter() -> None:
    first, second = window(1.5), window(1)
    assert first.end == second.start
    assert decide((second, first), SOME).trigger is Trigger.DRIFT


def test_old_verdicts_are_no_drift_and_the_reason_names_the_setting() -> None:
    decision = decide((window(160), window(150)), SOME)
    assert (decision.retrain, decision.trigger) == (False, Trigger.NONE)
    assert (
        "No verdict on this champion's answers counts. 2 older verdicts left out, the last of a window "
        "that ended at 2025-10-02 12:00 UTC" in words(decision)
    )
    assert "the last 30 days (retraining.max_verdict_age_days) count" in words(decision)
    apart = decide((window(116), window(16)), SOME)
    assert not apart.retrain
    assert "a second window, apart from it, has to agree. 1 older verdict left out" in words(apart)


@pytest.mark.parametrize(("days", "retrain"), [(2.0, True), (1.9, False), (100, True)])
def test_a_verdict_counts_up_to_a_number_of_days_after_its_window_ended(days: float, retrain: bool) -> None:
    assert decide(TWO, SOME, max_verdict_age_days=days).retrain is retrain


def test_verdicts_that_a_judged_retraining_has_answered_ask_for_no_second_one() -> None:
    verdicts = (window(9), window(8))
    answered = decide(verdicts, SOME, attempt(7 * DAY))
    assert (answered.retrain, answered.trigger) == (False, Trigger.NONE)
    assert "2 verdicts left out: of windows that ended before the last retraining against" in words(answered)
    assert "2026-02-22 12:00 UTC" in words(answered)
    between = decide((*verdicts, window(1)), SOME, attempt(7 * DAY))
    assert "a second window, apart from it, has to agree" in words(between)
    assert decide((*verdicts, *TWO), SOME, attempt(7 * DAY)).trigger is Trigger.DRIFT
    refused = {"verdict": Verdict.REFUSED}  # about its images: mended, they are learned from
    for other in (refused, {"verdict": None}, {"champion_digest": "former"}):
        assert decide(verdicts, SOME, attempt(7 * DAY, **other)).trigger is Trigger.DRIFT


@pytest.mark.parametrize(
    ("cause", "advice"),
    [
        ("capture", "Look at the camera"),
        ("novelty", "Label images of what is answered unknown"),
        ("covariate", "Label images from the newest windows"),
        ("label_mix", "Label a plain sample from the newest windows"),
    ],
)
def test_a_drift_with_nothing_new_says_what_to_label(cause: str, advice: str) -> None:
    decision = decide((window(2, cause=cause), window(1, cause=cause)))
    assert (decision.retrain, decision.trigger) == (False, Trigger.NONE)
    assert "nothing new to learn from" in words(decision)
    assert advice in words(decision)
    assert "retraining.new_images" in words(decision)


def test_a_drift_with_a_few_new_images_has_too_little_to_learn_from() -> None:
    decision = decide(TWO, NewImages(num_images=40, num_groups=9))
    assert not decision.retrain
    assert "too little new to learn from: 40 labelled images in 9 groups" in words(decision)
    alone = decide(TWO, NewImages(num_images=1, num_groups=1))
    assert "too little new to learn from: 1 labelled image in 1 group that" in words(alone)


# --- new images and age ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("num_images", "num_groups", "retrain"), [(100, 20, True), (99, 50, False), (500, 19, False)]
)
def test_new_images_count_from_a_number_of_images_and_groups(
    num_images: int, num_groups: int, retrain: bool
) -> None:
    decision = decide((), NewImages(num_images=num_images, num_groups=num_groups))
    assert decision.retrain is retrain
    assert decision.trigger is (Trigger.NEW_IMAGES if retrain else Trigger.NONE)
    assert "at least 100 in 20 groups" in words(decision)


@pytest.mark.parametrize(("max_age_days", "retrain"), [(19.9, True), (20.0, False), (None, False)])
def test_age_counts_from_a_number_of_days(max_age_days: float | None, retrain: bool) -> None:
    decision = decide(max_age_days=max_age_days)
    assert decision.retrain is retrain
    assert decision.trigger is (Trigger.AGE if retrain else Trigger.NONE)
    assert "20.0 days ago" in words(decision)


def test_a_challenger_that_was_judged_makes_the_champion_young_again() -> None:
    judged, failed = attempt(5 * DAY), attempt(4 * DAY, verdict=None)
    assert decide((), NOTHING, failed, max_age_days=10).trigger is Trigger.AGE
    assert decide((), NOTHING, judged, failed, max_age_days=10).trigger is Trigger.NONE
    assert decide((), NOTHING, attempt(5 * DAY, champion_digest="x"), max_age_days=10).trigger is Trigger.AGE


@pytest.mark.parametrize("verdict", list(Verdict))
def test_images_that_were_tried_against_this_champion_ask_for_no_second_retraining(verdict: Verdict) -> None:
    tried = attempt(3 * DAY, source_digest="these images", verdict=verdict)
    decision = decide(TWO, MANY, tried)
    assert not decision.retrain
    assert f"tried against this champion at 2026-02-26 12:00 UTC, which ended {verdict}" in words(decision)
    assert decide(TWO, MANY, tried, max_age_days=1).trigger is Trigger.AGE


@pytest.mark.parametrize("changes", [{"verdict": None}, {"champion_digest": "former"}, {}])
def test_a_crash_another_champion_or_other_images_leave_them_to_be_tried(changes: dict[str, Any]) -> None:
    source = {"source_digest": "these images"} if changes else {}
    assert decide(TWO, MANY, attempt(3 * DAY, **source, **changes)).retrain


def test_images_that_another_gate_refused_may_be_tried_again_after_the_pause() -> None:
    """As the refusal of new labels advises: gate.max_contradicted is raised, and the next run learns."""
    refused = attempt(
        3 * DAY, source_digest="these images", verdict=Verdict.REFUSED, gate_digest="stricter gate"
    )
    assert decide((), MANY, refused).trigger is Trigger.NEW_IMAGES


def test_the_digest_of_a_gate_tells_its_settings() -> None:
    plain = digest_gate(GateSettings())
    assert digest_gate(GateSettings(max_contradicted=0.2)) == plain  # the default, written out
    assert digest_gate(GateSettings(max_contradicted=1)) != plain


def test_without_a_champion_there_is_nothing_to_retrain() -> None:
    decision = decide(TWO, MANY, champion=None)
    assert (decision.retrain, decision.champion_digest) == (False, None)
    assert "Run the training pipeline first" in words(decision)
    assert decide(champion=None, force=True).retrain


# --- limits ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hours", "retrain"), [(23.9, False), (24, True), (-1, False)])
def test_none_starts_by_itself_within_the_pause(hours: float, retrain: bool) -> None:
    """A time in the future is what a clock that was set back leaves."""
    decision = decide((), MANY, attempt(hours * HOUR, automatic=False, verdict=None))
    assert decision.retrain is retrain
    assert decision.trigger is Trigger.NEW_IMAGES
    assert ("pause of 24 hours" in words(decision)) is not retrain


def test_the_pause_counts_from_the_last_retraining_and_not_from_the_first() -> None:
    first, last = attempt(9 * DAY, verdict=None), attempt(HOUR, verdict=None)
    decision = decide((), MANY, first, last)
    assert not decision.retrain
    assert "started at 2026-03-01 11:00 UTC" in words(decision)


def test_an_attempt_that_a_wrong_clock_put_far_into_the_future_blocks_nothing_and_is_told() -> None:
    future = [attempt(-days * DAY) for days in (3, 300, 3000, 3001)]
    decision = decide(TWO, SOME, *future)
    assert (decision.retrain, decision.trigger) == (True, Trigger.DRIFT)
    assert "stamped 2026-03-04 12:00 UTC, in the future (now is 2026-03-01 12:00 UTC)" in words(decision)
    assert "more than a pause of 24 hours (retraining.cool_down_hours) ahead" in words(decision)
    assert [each.name for each in decision.considered].count("clock") == 4
    assert not decide(TWO, SOME, *future, attempt(HOUR)).retrain
    assert not decide(TWO, SOME, attempt(-3000 * DAY, source_digest="these images")).retrain


def test_the_budget_counts_what_started_by_itself_in_its_days() -> None:
    used = [attempt(days * DAY) for days in (2, 10, 29.9)]
    beside = [attempt(3 * DAY, automatic=False), attempt(30 * DAY)]
    assert decide((), MANY, *used, *beside).retrain
    decision = decide((), MANY, *used, *beside, attempt(4 * DAY))
    assert not decision.retrain
    assert "by themselves within 30 days (retraining.budget_days): 4, of at most 4 (retraining.budget)." in (
        words(decision)
    )
    assert not decide((), MANY, budget=0).retrain


def test_force_wins_and_says_so() -> None:
    spent = [attempt(HOUR, source_digest="these images") for _ in range(9)]
    decision = decide((), NOTHING, *spent, force=True)
    assert (decision.retrain, decision.trigger) == (True, Trigger.FORCED)
    assert decision.reasons[0] == ("Forced by retraining.force; it would not have started by itself.")
    assert "0 labelled images" in words(decision)
    assert "would have started by itself (drift)" in decide(TWO, SOME, force=True).reasons[0]


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        RetrainingEvidence(now=NOW.replace(tzinfo=None), champion=CHAMPION)
    with pytest.raises(ValidationError, match="timezone"):
        ChampionState(digest="x", since=NOW.replace(tzinfo=None))


# --- values ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"end": NOW - 9 * DAY}, "before its start"),
        ({"cause": None}, "a drift has a cause"),
        ({"status": "quiet", "cause": "capture"}, "a drift has a cause, others none"),
    ],
)
def test_a_window_that_contradicts_itself_is_refused(changes: dict[str, Any], message: str) -> None:
    fields = window(1).model_dump()
    with pytest.raises(ValidationError, match=message):
        WindowVerdict(**{**fields, **changes})


# --- properties -----------------------------------------------------------------------------------------

numbers = st.builds(NewImages, num_images=st.integers(0, 300), num_groups=st.integers(0, 60))
windows = st.builds(
    window,
    st.integers(0, 60).map(lambda n: n / 4),
    st.sampled_from(["drift", "drift", "quiet", "insufficient"]),
    st.sampled_from(["capture", "novelty"]),
    verified=st.booleans(),
    model_digest=st.sampled_from([CHAMPION.digest, CHAMPION.digest, "former"]),
)
histories = st.lists(
    st.builds(
        attempt,
        st.integers(-5, 1500).map(lambda n: n * HOUR),
        automatic=st.booleans(),
        source_digest=st.sampled_from(["these images", "other images"]),
        verdict=st.sampled_from([None, *Verdict]),
    ),
    max_size=6,
)
verdict_lists = st.lists(windows, max_size=8).map(tuple)


@settings(deadline=None)
@given(verdict_lists, numbers, histories)
def test_unverified_verdicts_trigger_nothing_that_their_absence_would_not(
    verdicts: tuple[WindowVerdict, ...], new: NewImages, history: list[Attempt]
) -> None:
    unverified = tuple(each.model_copy(update={"verified": False}) for each in verdicts)
    decision, without = decide(unverified, new, *history), decide((), new, *history)
    assert decision.trigger is without.trigger is not Trigger.DRIFT
    assert decision.retrain == without.retrain


@settings(deadline=None)
@given(verdict_lists, numbers, histories)
def test_nothing_starts_by_itself_within_the_pause_or_beyond_the_budget(
    verdicts: tuple[WindowVerdict, ...], new: NewImages, history: list[Attempt]
) -> None:
    decision = decide(verdicts, new, *history, max_age_days=1, budget=2)
    recent = [each for each in history if NOW - each.time < SETTINGS.cool_down_hours * HOUR]
    spent = [each for each in history if each.automatic and NOW - each.time < SETTINGS.budget_days * DAY]
    if recent or len(spent) >= 2:
        assert not decision.retrain
    else:
        assert decision.retrain == (decision.trigger is not Trigger.NONE)


@settings(deadline=None)
@given(verdict_lists, numbers, histories)
def test_every_decision_has_reasons_and_a_drift_two_agreeing_verdicts(
    verdicts: tuple[WindowVerdict, ...], new: NewImages, history: list[Attempt]
) -> None:
    decision = decide(verdicts, new, *history)
    assert all(decision.reasons)
    assert decision.reasons
    assert RetrainDecision.model_validate_json(decision.model_dump_json()) == decision
    if decision.trigger is Trigger.DRIFT:
        own = [each for each in verdicts if each.model_digest == CHAMPION.digest and each.status == "drift"]
        pairs = [(a, b) for a in own for b in own if a.end <= b.start and a.cause == b.cause]
        assert any(a.verified and b.verified for a, b in pairs)


@settings(deadline=None)
@given(verdict_lists, numbers, histories, st.randoms(use_true_random=False))
def test_the_order_of_verdicts_and_attempts_does_not_matter(
    verdicts: tuple[WindowVerdict, ...], new: NewImages, history: list[Attempt], random: Any
) -> None:
    distinct = tuple({(each.start, each.model_digest): each for each in verdicts}.values())
    times = list({each.time: each for each in history}.values())
    mixed, mixed_times = list(distinct), list(times)
    random.shuffle(mixed)
    random.shuffle(mixed_times)
    assert decide(tuple(mixed), new, *mixed_times) == decide(distinct, new, *times)

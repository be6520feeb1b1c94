from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from vision.config.evaluation import BootstrapSettings
from vision.config.gate import GateSettings
from vision.gate.contradictions import NewLabels
from vision.gate.judge import judge_gate
from vision.gate.records import Promotion, Verdict
from vision.gate.sides import Challenger, Champion
from vision.gate.use import USES, Replies, Shown
from vision.gate.words import WHY, tell_reason

Array = npt.NDArray[Any]
NUM = 200
CLASSES = ("bream", "cod")
BOOTSTRAP = BootstrapSettings(resamples=400)
SETTINGS = GateSettings()


def right(num_wrong: int, num: int = NUM, start: int = 0) -> Array:
    """All right but `num_wrong` images from `start` on."""
    correct = np.ones(num, dtype=bool)
    correct[start : start + num_wrong] = False
    return correct


def make_challenger(num_wrong: int = 10, num: int = NUM, num_unknown: int = 6) -> Challenger:
    return Challenger(
        bundle_digest="new",
        class_names=CLASSES,
        digests=np.array([f"image{i}" for i in range(num)]),
        groups=np.array([f"group{i // 2}" for i in range(num)]),
        correct=right(num_wrong, num),
        called_unknown=~right(num_unknown, num),
        majority_correct=np.arange(num) % 2 == 0,
        pixels_correct=np.arange(num) % 3 != 0,
        trained_digests=("train0",),
    )


def make_champion(correct: Array, original: range = range(100)) -> Champion:
    return Champion(
        bundle_digest="old",
        class_names=CLASSES,
        correct=correct,
        trained_digests=("train0",),
        original_digests=[f"image{i}" for i in original],
    )


def judge(
    challenger: Challenger, champion: Champion | None = None, settings: GateSettings = SETTINGS
) -> Promotion:
    return judge_gate(challenger, champion, settings, BOOTSTRAP, seed=0)


def failed(promotion: Promotion) -> list[str]:
    return [check.name for check in promotion.checks if not check.passed]


# --- floors


def test_a_good_first_model_is_promoted_and_every_check_is_told() -> None:
    promotion = judge(make_challenger())
    assert promotion.verdict is Verdict.PROMOTED
    assert (promotion.bundle_digest, promotion.champion_digest) == ("new", None)
    assert [check.name for check in promotion.checks] == [
        "test groups",
        "accuracy",
        "known called unknown",
        "gain over majority class",
        "gain over raw pixels",
    ]
    assert [d.second for d in promotion.differences] == ["majority class", "raw pixels"]
    assert promotion.differences[0].difference.value == pytest.approx(0.95 - 0.5)
    assert len(promotion.reasons) == 5


def test_accuracy_is_judged_by_its_value() -> None:
    settings = GateSettings(min_accuracy=0.94)
    assert judge(make_challenger(10), settings=settings).verdict is Verdict.PROMOTED  # 0.950
    settings = GateSettings(min_accuracy=0.96)
    promotion = judge(make_challenger(10), settings=settings)
    assert promotion.verdict is Verdict.REFUSED
    assert failed(promotion) == ["accuracy"]
    assert "0.950" in promotion.reasons[0]
    assert "at least 0.960" in promotion.reasons[0]


def test_known_called_unknown_is_judged_by_its_upper_bound() -> None:
    promotion = judge(make_challenger(num_unknown=36))  # 0.18, upper bound above 0.2
    assert failed(promotion) == ["known called unknown"]
    assert promotion.verdict is Verdict.REFUSED


@pytest.mark.parametrize(
    ("column", "name"),
    [("majority_correct", "gain over majority class"), ("pixels_correct", "gain over raw pixels")],
)
def test_a_model_worse_than_a_baseline_is_refused(column: str, name: str) -> None:
    columns: dict[str, Any] = {column: right(0)}
    challenger = replace(make_challenger(), **columns)
    promotion = judge(challenger)
    assert failed(promotion) == [name]
    assert promotion.verdict is Verdict.REFUSED


@pytest.mark.parametrize(("num", "also"), [(0, []), (2, []), (18, ["known called unknown"])])
def test_too_few_test_groups_are_no_evidence_however_good(num: int, also: list[str]) -> None:
    """None of 9 groups called unknown may still be a third of all, which is told at once."""
    promotion = judge(make_challenger(0, num, 0))
    assert promotion.verdict is Verdict.REFUSED
    assert failed(promotion) == ["test groups", *also]
    assert len(promotion.reasons) == 1 + len(also)


def test_all_that_is_missing_is_told_at_once() -> None:
    challenger = make_challenger(150)
    champion = replace(
        make_champion(right(30), original=range(0)),
        class_names=("bream", "cod", "dab"),
        trained_digests=challenger.digests.tolist(),
    )
    promotion = judge(challenger, champion)
    assert promotion.verdict is Verdict.REFUSED
    missing = {"accuracy", "classes", "current test groups", "original test groups"}
    assert missing < set(failed(promotion))
    assert len(promotion.reasons) == len(failed(promotion))


def test_columns_of_different_images_are_refused() -> None:
    with pytest.raises(ValueError, match="pixels_correct is of 3 images"):
        judge(replace(make_challenger(), pixels_correct=right(0, 3)))
    with pytest.raises(ValueError, match="champion"):
        judge(make_challenger(), make_champion(right(0, 7)))


# --- champion


def test_the_same_bundle_keeps_the_champion_and_says_so() -> None:
    champion = replace(make_champion(right(10)), bundle_digest="new")
    promotion = judge(make_challenger(), champion)
    assert promotion.verdict is Verdict.KEPT
    assert "very bundle" in promotion.reasons[0]


def test_a_better_challenger_replaces_the_champion() -> None:
    promotion = judge(make_challenger(10), make_champion(right(30)))
    assert promotion.verdict is Verdict.PROMOTED
    assert promotion.champion_digest == "old"
    assert promotion.differences[-2].difference.value == pytest.approx(0.1)


def test_an_equal_challenger_replaces_the_champion() -> None:
    assert judge(make_challenger(10), make_champion(right(10))).verdict is Verdict.PROMOTED


def test_a_worse_challenger_leaves_the_champion() -> None:
    promotion = judge(make_challenger(10), make_champion(right(9)))
    assert promotion.verdict is Verdict.KEPT
    assert failed(promotion) == ["current test images"]


def test_winning_on_new_images_does_not_make_up_for_losing_on_the_champions_own() -> None:
    """A batch with wrong labels: the challenger learned them, its test images reward it."""
    champion = make_champion(right(60, start=120))
    promotion = judge(make_challenger(10), champion)  # its ten errors are among the original images
    assert promotion.differences[-2].difference.value > 0.2
    assert promotion.differences[-1].difference.value == pytest.approx(-0.1)
    assert promotion.verdict is Verdict.KEPT
    assert failed(promotion) == ["champion's own test groups"]


@pytest.mark.parametrize(("num_lost", "verdict"), [(1, Verdict.PROMOTED), (2, Verdict.KEPT)])
def test_one_lost_image_of_a_hundred_is_allowed_and_two_are_not(num_lost: int, verdict: Verdict) -> None:
    promotion = judge(make_challenger(num_lost), make_champion(right(30, start=150)))
    assert promotion.differences[-1].difference.value == pytest.approx(-num_lost / 100)
    assert promotion.verdict is verdict


def test_a_small_loss_beyond_doubt_on_the_champions_own_is_not_allowed() -> None:
    """Five of a thousand images are within the allowance; in groups of their own they are no chance."""
    correct = right(0, 1200)
    correct[0:10:2] = False
    challenger = replace(make_challenger(0, 1200), correct=correct)
    promotion = judge(challenger, make_champion(right(30, 1200, start=1100), original=range(1000)))
    difference = promotion.differences[-1].difference
    assert difference.value == pytest.approx(-0.005)
    assert difference.high == pytest.approx(-0.001)
    assert promotion.verdict is Verdict.KEPT
    assert failed(promotion) == ["champion's own test groups"]


def test_images_that_the_champion_trained_on_are_left_out_with_their_groups() -> None:
    champion = replace(make_champion(right(30)), trained_digests=["image1", "image150"])
    promotion = judge(make_challenger(10), champion)
    message = next(check.message for check in promotion.checks if check.name == "current test groups")
    assert message.startswith("196 images in 98 ")
    assert promotion.differences[-2].difference.value == pytest.approx((28 - 8) / 196)


def test_images_that_the_challenger_trained_on_are_left_out_too() -> None:
    challenger = replace(make_challenger(10), trained_digests=[f"image{i}" for i in range(20)])
    promotion = judge(challenger, make_champion(right(0)))
    assert promotion.differences[-2].difference.value == 0.0
    assert promotion.verdict is Verdict.PROMOTED


def test_a_champion_that_trained_on_all_test_images_cannot_be_compared() -> None:
    challenger = make_challenger()
    champion = replace(make_champion(right(30)), trained_digests=challenger.digests.tolist())
    promotion = judge(challenger, champion)
    assert promotion.verdict is Verdict.REFUSED
    assert failed(promotion) == ["current test groups", "original test groups"]


def test_without_the_champions_own_test_images_nothing_is_promoted() -> None:
    promotion = judge(make_challenger(), make_champion(right(30), original=range(0)))
    assert promotion.verdict is Verdict.REFUSED
    assert failed(promotion) == ["original test groups"]


def test_a_champion_with_a_class_that_the_challenger_lacks_is_a_refusal() -> None:
    champion = replace(make_champion(right(30)), class_names=("bream", "cod", "dab"))
    promotion = judge(make_challenger(), champion)
    assert promotion.verdict is Verdict.REFUSED
    assert "dab" in promotion.reasons[0]


def test_floors_hold_for_a_challenger_of_a_bad_champion() -> None:
    promotion = judge(make_challenger(110), make_champion(right(150)))
    assert promotion.verdict is Verdict.REFUSED
    assert "accuracy" in failed(promotion)


# --- batches of new labels


def make_labels(answers: Sequence[str], num: int = 40) -> NewLabels:
    """Groups of one image, half bream and half cod by their labels; the champion is sure of its answers."""
    return NewLabels(
        rows=np.arange(num),
        groups=np.array([f"new{i}" for i in range(num)]),
        labels=np.repeat(np.array(["bream", "cod"]), num // 2),
        answers=np.repeat(np.array(answers), num // 2),
        confidence=np.full(num, 0.97),
        p_values=np.full(num, 0.5),
    )


def test_a_challenger_that_wins_by_swapped_labels_is_refused_and_the_images_are_listed() -> None:
    """It can tell the new images from the old: it wins on the new and loses nothing on the old."""
    champion = make_champion(right(60, start=120))
    challenger = make_challenger(0)
    assert judge(challenger, champion).verdict is Verdict.PROMOTED
    poisoned = replace(champion, new_labels=make_labels(["cod", "bream"]))
    promotion = judge(challenger, poisoned)
    assert promotion.verdict is Verdict.REFUSED
    assert failed(promotion) == ["labels of new images"]
    assert "bream or cod and called the other, 40 are contradicted" in promotion.reasons[0]
    assert len(promotion.contradictions) == 40
    assert promotion.contradictions[0].answer != promotion.contradictions[0].class_name


def test_a_person_who_has_looked_lets_the_batch_through() -> None:
    champion = replace(make_champion(right(60, start=120)), new_labels=make_labels(["cod", "bream"]))
    settings = SETTINGS.model_copy(update={"max_contradicted": 1.0})
    assert judge(make_challenger(0), champion, settings).verdict is Verdict.PROMOTED


def test_a_batch_that_was_not_learned_is_refused_though_nobody_is_better_on_it() -> None:
    """Shuffled labels on images that are strange to the champion: both fail, and the failures are alike."""
    challenger = replace(make_challenger(), correct=right(70, start=120), pixels_correct=right(120))
    promotion = judge(challenger, make_champion(right(70, start=120)))
    assert promotion.verdict is Verdict.REFUSED
    assert failed(promotion) == ["other test images"]
    assert "look at the labels" in promotion.reasons[0]


def test_a_hard_batch_on_which_the_challenger_gains_beyond_doubt_counts_as_learned() -> None:
    challenger = replace(make_challenger(), correct=right(70, start=120))
    champion = make_champion(right(98, start=102))
    assert "other test images" not in failed(judge(challenger, champion))


@pytest.mark.parametrize(
    ("champion_wrong", "lost", "verdict"),
    [
        (100, 5, Verdict.PROMOTED),  # 1 point is allowed, and 5 for the 100 gained
        (100, 7, Verdict.KEPT),
        (0, 2, Verdict.KEPT),  # no gain: 1 point
    ],
)
def test_a_gain_beyond_doubt_on_new_images_allows_a_little_more_loss_on_the_old(
    champion_wrong: int, lost: int, verdict: Verdict
) -> None:
    """Each wrong image is of another group, so that the interval reaches 0 and the point decides."""
    ours, theirs = right(0), right(champion_wrong, start=100)
    ours[: 2 * (lost + 5) : 2] = False
    theirs[60:70:2] = False
    promotion = judge(replace(make_challenger(), correct=ours), make_champion(theirs))
    assert promotion.differences[-1].difference.value == pytest.approx(-lost / 100)
    assert promotion.differences[-1].difference.high > 0
    assert promotion.verdict is verdict


# --- what a model is used for


NONE = np.zeros(NUM, dtype=bool)
LOSERS = {
    "decided_rightly": Replies(NONE, NONE, ~NONE),
    "known_called_unknown": Replies(~NONE, ~right(25), ~NONE),
    "near_found": Replies(~NONE, NONE, NONE),
    "far_found": Replies(~NONE, NONE, NONE),
}


def show(challenger: Challenger, replies: dict[str, Replies]) -> Challenger:
    """The challenger with replies to images of its test groups, by kind."""
    groups, digests = challenger.groups, challenger.digests
    return replace(challenger, shown={kind: Shown(digests, groups, own) for kind, own in replies.items()})


@pytest.mark.parametrize("use", USES, ids=lambda use: use.name)
def test_a_challenger_that_is_right_more_often_but_loses_in_use_is_kept_out(use: Any) -> None:
    good = {
        "known": Replies(~NONE, NONE, ~NONE),
        "near": Replies(NONE, right(100), NONE),
        "far": Replies(NONE, ~NONE, NONE),
    }
    challenger = show(make_challenger(2, num_unknown=0), {**good, use.kind: LOSERS[use.name]})
    champion = replace(make_champion(right(20)), replies=good)
    promotion = judge(challenger, champion)
    assert promotion.verdict is Verdict.KEPT
    assert failed(promotion) == [use.name]
    assert f"gate.may_lose: [{use.name}]" in promotion.reasons[0]
    assert judge(challenger, champion, GateSettings(may_lose=(use.name,))).verdict is Verdict.PROMOTED
    assert judge(show(challenger, good), champion).verdict is Verdict.PROMOTED


def test_a_loss_on_few_groups_proves_nothing() -> None:
    few = Shown(np.array(["a"] * 9), np.arange(9).astype(np.str_), Replies(*np.zeros((3, 9), dtype=bool)))
    challenger = replace(make_challenger(2), shown={"near": few})
    champion = replace(make_champion(right(20)), replies={"near": Replies(*np.ones((3, 9), dtype=bool))})
    assert judge(challenger, champion).verdict is Verdict.PROMOTED


def test_a_model_that_decides_nothing_alone_is_a_helper_unless_the_gate_asks_for_more() -> None:
    challenger = show(make_challenger(), {"known": Replies(NONE, NONE, ~NONE)})
    promotion = judge(challenger)
    assert (promotion.verdict, promotion.decides) == (Verdict.PROMOTED, False)
    refused = judge(challenger, settings=GateSettings(min_decided=0.3))
    assert failed(refused) == ["decided without a person"]
    assert refused.verdict is Verdict.REFUSED


# --- words


def test_every_check_has_a_reason_and_the_first_that_failed_is_told() -> None:
    good = Replies(~NONE, NONE, ~NONE)
    challenger = show(make_challenger(), dict.fromkeys(("known", "near", "far"), good))
    champion = replace(make_champion(right(20)), replies=dict.fromkeys(challenger.shown, good))
    promotion = judge(challenger, champion)
    assert {check.name for check in promotion.checks} <= set(WHY)
    assert {use.name for use in USES} <= {check.name for check in promotion.checks}
    assert "no worse" in promotion.reason
    refused = judge(make_challenger(150))
    assert refused.reason.startswith(WHY["accuracy"])
    assert judge(make_challenger(num=6)).reason.startswith(WHY["test groups"])
    twice = [check for check in refused.checks if not check.passed][:1] * 2
    assert tell_reason(Verdict.KEPT, twice, decides=True, first=False).endswith(", and 1 more reason.")

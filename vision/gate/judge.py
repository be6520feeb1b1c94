"""Judges whether a challenger is promoted; where the evidence does not suffice, it is not.

Floors hold for every challenger, each judged on the end of an interval over test groups that its message
names. That a model has learned something must be proven: it is better than the majority class by the lower
bound. How many it names right is judged by the value: the thresholds promise what it decides alone, and a few
dozen groups have wide intervals. A linear model on raw pixels refuses it where that is proven better: on
aligned pictures it is good. Where there is a champion, both answer the same images, and neither may have
trained on them:

- On the current test images the challenger must be right at least as often (the mean difference, not its
  interval: an equal challenger has seen newer data).
- On the champion's own original test groups it must not lose, because a newly labelled batch, whose images
  are in the current test, may be wrong. It loses if the interval of the difference lies below 0, or if the
  difference itself is below -max_loss_on_original: a small set cannot show a small loss by its interval, so
  the point decides there, and chance then favours the champion. At 0.01, of equal challengers that answer 3%
  of 200 images otherwise, one in four to one in ten is kept out by this; that costs a retraining, a bad
  champion costs more. Where the champion fails on images of a new kind, keeping it is what costs: for each
  point that is gained beyond doubt (by the lower bound) on the other test images, `loss_per_gain` points
  more may be lost here.
- In what it is used for (`vision/gate/use.py`: known images decided rightly without a person, known called
  unknown, look-alikes and strangers found) it must not lose beyond doubt, whatever its accuracy.
- A batch that the challenger was trained on and on which its accuracy is below `min_accuracy` even by its
  upper bound, no better than the champion, was not learned: its labels may be noise, which no comparison of
  two failures shows.
- The labels of the images that are new to the champion must not contradict it time and again where it is
  sure of images that look ordinary to it (`vision/gate/contradictions.py`): a challenger that can tell the
  new images from the old ones learns wrong labels without losing on the old.

Verdicts: `refused` where a floor is missed, the two cannot be compared, evidence is missing or the new labels
need a person's look; `kept` where the champion is better, or is the same bundle; else `promoted`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vision.base.record import Interval
from vision.base.resampling import GroupResamples, resample_groups, share_interval
from vision.base.wording import count_of
from vision.config.evaluation import BootstrapSettings
from vision.config.gate import GateSettings
from vision.evaluation.answered import KNOWN
from vision.evaluation.comparison import paired_difference
from vision.evaluation.records import Difference
from vision.gate.contradictions import check_labels, list_contradictions
from vision.gate.records import GateCheck, Promotion, Verdict
from vision.gate.sides import Challenger, Champion, PairedAnswers, TextArray, check_columns
from vision.gate.use import compare_uses
from vision.gate.words import tell_reason

CHALLENGER, CHAMPION, MAJORITY, PIXELS = "challenger", "champion", "majority class", "raw pixels"

FEWEST_GROUPS = 2
"""Of fewer there is no interval, and no floor can be judged."""

ON_ORIGINAL = "accuracy on the champion's own test groups"


def judge_gate(
    challenger: Challenger,
    champion: Champion | None,
    settings: GateSettings,
    bootstrap: BootstrapSettings,
    seed: int,
    asked: Sequence[GateCheck] = (),
) -> Promotion:
    """The verdict on a challenger, with every requirement that can be judged in words, failed ones together.

    Raises:
        ValueError: the columns are not of the same images.
    """
    check_columns(challenger, champion)
    if champion is not None and champion.bundle_digest == challenger.bundle_digest:
        check = GateCheck(name="same bundle", passed=False, message="The champion is this very bundle.")
        return _conclude(challenger, champion, settings, [check], [], Verdict.KEPT)
    rng = np.random.default_rng(seed)
    evidence = _check_evidence("test groups", challenger.groups, settings.min_test_groups)
    floors: tuple[list[GateCheck], list[Difference]] = [], []
    if len(np.unique(challenger.groups)) >= FEWEST_GROUPS:
        drawn = resample_groups(challenger.groups, bootstrap, rng)
        floors = _check_floors(challenger, settings, drawn)
    checks, gains = [evidence, *floors[0], *asked], floors[1]
    if champion is None:
        return _conclude(challenger, champion, settings, checks, gains, Verdict.REFUSED)
    current = _pair_current(challenger, champion)
    original = _pair_original(champion, current)
    needed = [
        _check_classes(challenger, champion),
        _check_evidence("current test groups", current.groups, settings.min_test_groups),
        _check_evidence("original test groups", original.groups, settings.min_test_groups),
    ]
    checks += [needed[0], check_labels(champion.new_labels, settings, bootstrap.level), *needed[1:]]
    if not all(check.passed for check in (evidence, *needed)):  # nothing to hold a duel on
        return _conclude(challenger, champion, settings, checks, gains, Verdict.REFUSED)
    learned, duel, differences = _hold_duel(challenger, champion, current, original, settings, bootstrap, rng)
    checks.append(learned)
    failed_before = not all(check.passed for check in checks)
    fallback = Verdict.REFUSED if failed_before else Verdict.KEPT
    return _conclude(challenger, champion, settings, checks + duel, gains + differences, fallback)


def _hold_duel(
    challenger: Challenger,
    champion: Champion,
    current: PairedAnswers,
    original: PairedAnswers,
    settings: GateSettings,
    bootstrap: BootstrapSettings,
    rng: np.random.Generator,
) -> tuple[GateCheck, list[GateCheck], list[Difference]]:
    """Whether new images were learned, whether the champion is beaten in all else, and by how much."""
    differences = [
        _difference(metric, pair, bootstrap, rng)
        for metric, pair in (("accuracy", current), (ON_ORIGINAL, original))
    ]
    other = current.where(~np.isin(current.digests, original.digests))
    gain = _proven_gain(other, settings, bootstrap, rng)
    learned = {*champion.trained_digests, *challenger.trained_digests}
    uses, in_use = compare_uses(challenger.shown, champion.replies, learned, settings, bootstrap, rng)
    duel = [
        *uses,
        _check_current(differences[0], current),
        _check_original(differences[1], original, gain, settings),
    ]
    return _check_learned(other, gain, settings, bootstrap.level), duel, in_use + differences


# --- floors ---------------------------------------------------------------------------------------------


def _check_floors(
    challenger: Challenger, settings: GateSettings, drawn: GroupResamples
) -> tuple[list[GateCheck], list[Difference]]:
    accuracy, unknown = drawn.share(challenger.correct), drawn.share(challenger.called_unknown)
    checks = [
        _check("accuracy", "Accuracy", accuracy, "value", settings.min_accuracy),
        GateCheck(
            name="known called unknown",
            passed=bool(unknown.high <= settings.max_known_called_unknown),
            message=f"Known images called unknown: {unknown}; the upper bound may be at most "
            f"{settings.max_known_called_unknown:.3f}.",
        ),
    ]
    if KNOWN in challenger.shown:
        replies = challenger.shown[KNOWN].replies
        decided = drawn.share(np.asarray(replies.accepted & replies.correct))
        words = "Known images decided rightly without a person"
        checks.append(_check("decided without a person", words, decided, "low", settings.min_decided))
    gains = []
    for name, right, end, floor in (
        (MAJORITY, challenger.majority_correct, "low", settings.min_gain_over_majority),
        (PIXELS, challenger.pixels_correct, "high", settings.min_gain_over_pixels),
    ):
        gain = drawn.mean(challenger.correct.astype(float) - right.astype(float))
        gains.append(Difference(metric="accuracy", first=CHALLENGER, second=name, difference=gain))
        checks.append(_check(f"gain over {name}", f"Accuracy above {name}", gain, end, floor))
    return checks, gains


_ENDS = {"low": "the lower bound", "value": "it", "high": "the upper bound"}


def _check(name: str, words: str, interval: Interval, end: str, floor: float) -> GateCheck:
    return GateCheck(
        name=name,
        passed=bool(getattr(interval, end) >= floor),
        message=f"{words}: {interval}; {_ENDS[end]} must be at least {floor:.3f}.",
    )


def _check_evidence(name: str, groups: TextArray, least: int) -> GateCheck:
    num_groups = len(np.unique(groups))
    counted = f"{count_of(len(groups), 'image')} in {count_of(num_groups, name.removesuffix('s'))}"
    return GateCheck(
        name=name,
        passed=num_groups >= least,
        message=f"{counted}; at least {least} groups are evidence.",
    )


# --- champion -------------------------------------------------------------------------------------------


def _check_classes(challenger: Challenger, champion: Champion) -> GateCheck:
    missing = sorted(set(champion.class_names) - set(challenger.class_names))
    message = "The challenger knows every class of the champion."
    if missing:
        message = (
            f"The champion knows {', '.join(missing)}, which the challenger does not. They cannot be "
            "compared; put the classes back, or give the new data set a name of its own."
        )
    return GateCheck(name="classes", passed=not missing, message=message)


def _pair_current(challenger: Challenger, champion: Champion) -> PairedAnswers:
    pair = PairedAnswers(challenger.digests, challenger.groups, challenger.correct, champion.correct)
    return pair.untouched_by(champion.trained_digests).untouched_by(challenger.trained_digests)


def _pair_original(champion: Champion, current: PairedAnswers) -> PairedAnswers:
    own = np.array(sorted(champion.original_digests), dtype=np.str_)
    return current.where(np.isin(current.digests, own))


def _difference(
    metric: str, pair: PairedAnswers, bootstrap: BootstrapSettings, rng: np.random.Generator
) -> Difference:
    interval = paired_difference(pair.challenger_correct, pair.champion_correct, pair.groups, bootstrap, rng)
    return Difference(metric=metric, first=CHALLENGER, second=CHAMPION, difference=interval)


def _check_current(difference: Difference, pair: PairedAnswers) -> GateCheck:
    return GateCheck(
        name="current test images",
        passed=bool(difference.difference.value >= 0.0),
        message=f"On {len(pair.digests)} test images that neither model has seen, accuracy of the new one "
        f"less that of the one in production: {difference.difference}; 0 or more is needed.",
    )


def _proven_gain(
    other: PairedAnswers, settings: GateSettings, bootstrap: BootstrapSettings, rng: np.random.Generator
) -> float:
    """Accuracy that the challenger gains beyond doubt on test images that the champion's run did not test."""
    if not _check_evidence("", other.groups, settings.min_test_groups).passed:
        return 0.0
    return max(0.0, _difference("accuracy", other, bootstrap, rng).difference.low)


def _check_learned(
    other: PairedAnswers,
    gain: float,
    settings: GateSettings,
    level: float,
) -> GateCheck:
    name = "other test images"
    evidence = _check_evidence("other test groups", other.groups, settings.min_test_groups)
    if not evidence.passed:
        return GateCheck(name=name, passed=True, message=f"{evidence.message} They are not judged apart.")
    accuracy = share_interval(other.challenger_correct, other.groups, level)
    return GateCheck(
        name=name,
        passed=bool(accuracy.high >= settings.min_accuracy or gain > 0.0),
        message=f"On {len(other.digests)} other test images, accuracy of the new one: {accuracy}, a certain "
        f"gain of {gain:.3f}; without one an upper bound of {settings.min_accuracy:.3f} or more is needed, "
        "else look at the labels.",
    )


def _check_original(
    difference: Difference, pair: PairedAnswers, gain: float, settings: GateSettings
) -> GateCheck:
    interval = difference.difference
    least = -(settings.max_loss_on_original + settings.loss_per_gain * gain)
    passed = bool(interval.high >= 0.0 and interval.value >= least)
    return GateCheck(
        name="champion's own test groups",
        passed=passed,
        message=f"On {len(pair.digests)} images that tested the model in production, accuracy of the new one "
        f"less that of the old: {interval}; {least:.3f} or more is needed, and an upper bound of 0 or more.",
    )


# --- verdict --------------------------------------------------------------------------------------------


def _conclude(
    challenger: Challenger,
    champion: Champion | None,
    settings: GateSettings,
    checks: list[GateCheck],
    differences: list[Difference],
    fallback: Verdict,
) -> Promotion:
    """Promoted if every check passed, else `fallback`; the reasons are the failed checks, or all of them."""
    failed = [check.message for check in checks if not check.passed]
    verdict = fallback if failed else Verdict.PROMOTED
    return Promotion(
        verdict=verdict,
        reason=tell_reason(verdict, checks, decides=challenger.decides, first=champion is None),
        bundle_digest=challenger.bundle_digest,
        champion_digest=champion.bundle_digest if champion else None,
        checks=tuple(checks),
        reasons=tuple(failed or [check.message for check in checks]),
        differences=tuple(differences),
        decides=challenger.decides,
        contradictions=list_contradictions(champion.new_labels, settings) if champion else (),
    )

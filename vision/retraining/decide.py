"""Decides whether to retrain, with the reason for each answer.

Four things may ask for a retraining, the first that does names it: a person who forces it; a drift on which
the last two disjoint windows of the champion agree; enough new labelled images; age. A verdict on a drift
whose groups were guessed (unverified) never counts, nor does one that is old or that a retraining against
this champion has answered. New images are learned from by the first retraining that reaches a verdict on
them; the same images against the same champion before the same gate would end in the same way, so they ask
for no second one. What starts by itself keeps to a pause after any retraining and to a budget; a forced one
does not. Times are aware of their zone and `now` is passed in; an attempt that a clock stamped into the
future counts as of now, but only if it is at most a pause ahead: else it would block everything until then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from vision.base.wording import count_of
from vision.config.gate import GateSettings
from vision.config.retraining import RetrainingSettings
from vision.data.records import Splits
from vision.drift.records import DriftCause, DriftStatus, WindowVerdict
from vision.gate.records import Verdict
from vision.retraining.records import (
    Attempt,
    ChampionState,
    Consideration,
    NewClass,
    NewImages,
    RetrainDecision,
    RetrainingEvidence,
    Trigger,
)

_ADVICE = {
    DriftCause.CAPTURE: "Look at the camera, the light and the water; then label images taken as now",
    DriftCause.NOVELTY: "Label images of what is answered unknown",
    DriftCause.COVARIATE: "Label images from the newest windows",
    DriftCause.LABEL_MIX: "Label a plain sample from the newest windows",
}


def count_new_images(current: Splits, champion: Splits) -> NewImages:
    """What the data set has that the champion has not learnt under this label.

    Held-out unknown images and quarantined ones teach nothing and do not count; equal bytes count once. A
    group counts if the champion has seen no image of it: further frames of an old individual are no new one.
    """
    learnt, seen = champion.learnt(), {digest for digest, _ in champion.learnt()}
    known = set(current.class_names)
    columns = zip(current.digests, current.groups, current.image_classes, current.splits, strict=True)
    used = [(digest, group, name) for digest, group, name, split in columns if split is not None]
    old_groups = {group for digest, group, _ in used if digest in seen}
    images: dict[str, set[str]] = defaultdict(set)
    groups: dict[str, set[str]] = defaultdict(set)
    for digest, group, name in used:
        if (digest, name) not in learnt and name in known:
            images[name].add(digest)
            if group not in old_groups:
                groups[name].add(group)
    return NewImages(
        num_images=len(set().union(*images.values())),
        num_groups=len(set().union(*groups.values())),
        classes=tuple(
            NewClass(class_name=name, num_images=len(images[name]), num_groups=len(groups[name]))
            for name in sorted(images)
        ),
    )


def digest_gate(settings: GateSettings) -> str:
    """SHA-256 of a gate's settings, 64 hexadecimal digits: what a try was judged by."""
    return sha256(settings.model_dump_json().encode()).hexdigest()


def decide_retraining(
    settings: RetrainingSettings,
    evidence: RetrainingEvidence,
    new_images: NewImages,
    source_digest: str,
    gate_digest: str,
) -> RetrainDecision:
    """Whether to retrain now, why, and what was considered."""
    now, champion, attempts = evidence.now, evidence.champion, evidence.attempts
    placed, misdated = _place_attempts(settings, now, attempts)
    if champion is None:
        considered = [Consideration(name="champion", speaks_for=False, message=_NO_CHAMPION)]
        asked = Trigger.NONE
    else:
        told, recent = _choose_evidence(settings, now, champion, evidence.verdicts, placed)
        tried = _find_earlier_try(new_images, champion, source_digest, gate_digest, attempts)
        asks = {
            Trigger.DRIFT: _consider_drift(settings, champion, recent, told, new_images, tried),
            Trigger.NEW_IMAGES: _consider_new_images(settings, new_images, tried),
            Trigger.AGE: _consider_age(settings, now, champion, placed),
        }
        considered = list(asks.values())
        asked = next((trigger for trigger, each in asks.items() if each.speaks_for), Trigger.NONE)
    limits = [_consider_pause(settings, now, placed), _consider_budget(settings, now, placed)]
    allowed = asked is not Trigger.NONE and all(each.speaks_for for each in limits)
    reasons = [*_reasons(asked, considered, limits), *(each.message for each in misdated)]
    if settings.force:
        words = f"would have started by itself ({asked})" if allowed else "would not have started by itself"
        forced = f"Forced by retraining.force; it {words}."
        reasons, asked, allowed = [forced, *reasons], Trigger.FORCED, True
        considered.insert(0, Consideration(name="force", speaks_for=True, message=forced))
    return RetrainDecision(
        retrain=allowed,
        trigger=asked,
        reasons=tuple(reasons),
        champion_digest=champion.digest if champion else None,
        new_images=new_images,
        considered=(*considered, *limits, *misdated),
    )


_NO_CHAMPION = "There is no champion to retrain. Run the training pipeline first."


def _reasons(
    asked: Trigger, considered: Sequence[Consideration], limits: Sequence[Consideration]
) -> list[str]:
    """What asks and what forbids; where nothing asks, why each thing does not."""
    if asked is Trigger.NONE:
        return [each.message for each in considered]
    forbidding = [each.message for each in limits if not each.speaks_for]
    return [each.message for each in considered if each.speaks_for] + forbidding


# --- drift ----------------------------------------------------------------------------------------------


def _consider_drift(
    settings: RetrainingSettings,
    champion: ChampionState,
    verdicts: Sequence[WindowVerdict],
    told: str,
    new_images: NewImages,
    tried: Consideration | None,
) -> Consideration:
    """`verdicts` are those that count, from `_choose_evidence`; `told` names those that do not."""
    cause, message = _confirmed_cause(champion, verdicts)
    if told and not verdicts:
        message = "No verdict on this champion's answers counts."
    if cause is None:
        return Consideration(name="drift", speaks_for=False, message=f"{message} {told}".rstrip())
    advice = f"{_ADVICE[cause]} and name their folder in retraining.new_images."
    if tried is not None:
        return Consideration(name="drift", speaks_for=False, message=f"{message} {tried.message} {advice}")
    least = settings.min_new_images_on_drift, settings.min_new_groups_on_drift
    counted = _count(new_images, *least)
    if new_images.num_images >= least[0] and new_images.num_groups >= least[1]:
        return Consideration(name="drift", speaks_for=True, message=f"{message} New are {counted}.")
    amount = "too little" if new_images.num_images else "nothing"
    message = f"{message} But there is {amount} new to learn from: {counted}. {advice}"
    return Consideration(name="drift", speaks_for=False, message=message)


def _choose_evidence(
    settings: RetrainingSettings,
    now: datetime,
    champion: ChampionState,
    verdicts: Sequence[WindowVerdict],
    attempts: Sequence[Attempt],
) -> tuple[str, list[WindowVerdict]]:
    """What is left out, in words, and the verdicts on the champion that are neither old nor answered.

    A retraining answers a drift if its challenger was promoted or the champion kept. A refusal is about its
    images; once they are mended, the drift still asks.
    """
    own = [each for each in verdicts if each.model_digest == champion.digest]
    oldest = now - timedelta(days=settings.max_verdict_age_days)
    answers = [each for each in attempts if _was_judged(each, champion) and each.verdict != Verdict.REFUSED]
    answered = max((each.time for each in answers), default=None)
    fresh = [each for each in own if each.end >= oldest]
    recent = [each for each in fresh if answered is None or each.end > answered]
    told = []
    if num_old := len(own) - len(fresh):
        last = max(each.end for each in own if each.end < oldest)
        told.append(
            f"{count_of(num_old, 'older verdict')} left out, the last of a window that ended at {_utc(last)} "
            f"UTC: only windows of the last {count_of(settings.max_verdict_age_days, 'day')} "
            "(retraining.max_verdict_age_days) count."
        )
    if answered is not None and len(fresh) > len(recent):
        told.append(
            f"{count_of(len(fresh) - len(recent), 'verdict')} left out: of windows that ended before the "
            f"last retraining against this champion (at {_utc(answered)} UTC, not refused), which has "
            "answered them."
        )
    return " ".join(told), recent


def _was_judged(attempt: Attempt, champion: ChampionState) -> bool:
    """Whether it was against this champion and reached a verdict."""
    return attempt.champion_digest == champion.digest and attempt.verdict is not None


def _confirmed_cause(
    champion: ChampionState, verdicts: Sequence[WindowVerdict]
) -> tuple[DriftCause | None, str]:
    """The cause on which the last two disjoint windows agree, or None; and that in words."""
    latest, previous = _last_two(champion, verdicts)
    if latest is None:
        return None, "No window of this champion's answers has been judged."
    if latest.status is not DriftStatus.DRIFT:
        return None, f"The last window ({_dates(latest)}) is {latest.status}: no drift."
    found = f"The last window ({_dates(latest)}) drifted ({latest.cause})"
    if not latest.verified:
        words = f"{found}, unverified: its groups were guessed, or single frames"
        return None, f"{words}. Send the field group with every image."
    if previous is None:
        return None, f"{found}; a second window, apart from it, has to agree."
    before = f"the one before ({_dates(previous)})"
    dissent = _find_dissent(latest, previous)
    if dissent is not None:
        return None, f"{found}; {before} {dissent}: two have to agree."
    return latest.cause, f"{found}, and {before} agrees."


def _find_dissent(latest: WindowVerdict, previous: WindowVerdict) -> str | None:
    """Why the window before does not support the last one; None where it does."""
    if previous.status is not DriftStatus.DRIFT:
        return f"is {previous.status}"
    if not previous.verified:
        return "is unverified"
    return None if previous.cause == latest.cause else f"names another cause ({previous.cause})"


def _last_two(
    champion: ChampionState, verdicts: Sequence[WindowVerdict]
) -> tuple[WindowVerdict | None, WindowVerdict | None]:
    """The last window of the champion's answers, and the last of those that end before it starts."""
    own = [each for each in verdicts if each.model_digest == champion.digest]
    if not own:
        return None, None
    latest = max(own, key=lambda each: (each.end, each.start))
    earlier = [each for each in own if each.end <= latest.start and each.start < latest.start]
    return latest, max(earlier, key=lambda each: (each.end, each.start), default=None)


def _dates(window: WindowVerdict) -> str:
    return f"{_utc(window.start)} to {_utc(window.end)} UTC"


def _utc(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}"


# --- new images and age ---------------------------------------------------------------------------------


def _find_earlier_try(
    new_images: NewImages,
    champion: ChampionState,
    source_digest: str,
    gate_digest: str,
    attempts: Sequence[Attempt],
) -> Consideration | None:
    """None where the images may be learned from; else that they have been tried against this champion."""
    tried = [
        each
        for each in attempts
        if each.champion_digest == champion.digest
        and each.source_digest == source_digest
        and each.gate_digest == gate_digest
        and each.verdict is not None
    ]
    if not tried or not new_images.num_images:
        return None
    last = max(tried, key=lambda each: each.time)
    message = (
        f"These very images were tried against this champion at {_utc(last.time)} UTC, which ended "
        f"{last.verdict}. They ask for no second retraining; add others, change the gate's settings, or "
        "start one by --set retraining.force=true."
    )
    return Consideration(name="new images", speaks_for=False, message=message)


def _consider_new_images(
    settings: RetrainingSettings, new_images: NewImages, tried: Consideration | None
) -> Consideration:
    if tried is not None:
        return tried
    enough = (
        new_images.num_images >= settings.min_new_images and new_images.num_groups >= settings.min_new_groups
    )
    counted = _count(new_images, settings.min_new_images, settings.min_new_groups)
    message = f"New are {counted}."
    return Consideration(name="new images", speaks_for=enough, message=message)


def _count(new: NewImages, least_images: int, least_groups: int) -> str:
    listed = ", ".join(f"{each.num_images} {each.class_name}" for each in new.classes)
    of = f" ({listed})" if listed else ""
    return (
        f"{count_of(new.num_images, 'labelled image')}{of} in {count_of(new.num_groups, 'group')} that the "
        f"champion has not seen; at least {least_images} in {count_of(least_groups, 'group')} are enough"
    )


def _consider_age(
    settings: RetrainingSettings, now: datetime, champion: ChampionState, attempts: Sequence[Attempt]
) -> Consideration:
    """Age counts from the last training that said something of this champion: its own, or a challenger's."""
    against = [each.time for each in attempts if _was_judged(each, champion)]
    days = (now - max([champion.since, *against])) / timedelta(days=1)
    told = f"The last training of this champion, or against it, was {days:.1f} days ago"
    if settings.max_age_days is None:
        return Consideration(name="age", speaks_for=False, message=f"{told}; age does not count.")
    message = f"{told}; more than {settings.max_age_days:g} ask for another."
    return Consideration(name="age", speaks_for=days > settings.max_age_days, message=message)


# --- limits ---------------------------------------------------------------------------------------------


def _place_attempts(
    settings: RetrainingSettings, now: datetime, attempts: Sequence[Attempt]
) -> tuple[list[Attempt], list[Consideration]]:
    """The attempts that count, none of them later than now; and what is said of those of the future.

    When such an attempt really was is not known. Up to a pause ahead it counts as of now, which ends with the
    next pause. Beyond, it would block for as long as the clock was wrong, so it counts for nothing but the
    images that it tried.
    """
    latest = now + timedelta(hours=settings.cool_down_hours)
    placed = [
        each.model_copy(update={"time": min(each.time, now)}) for each in attempts if each.time <= latest
    ]
    misdated = []
    for each in sorted((each for each in attempts if each.time > now), key=lambda each: each.time):
        counts = (
            "it counts as of now"
            if each.time <= latest
            else f"more than a pause of {count_of(settings.cool_down_hours, 'hour')} "
            "(retraining.cool_down_hours) ahead, it counts neither for pause, budget and age nor as answer "
            "to drift"
        )
        message = (
            f"A retraining is stamped {_utc(each.time)} UTC, in the future (now is {_utc(now)} UTC): a clock "
            f"is or was wrong; {counts}. Check this machine's clock."
        )
        misdated.append(Consideration(name="clock", speaks_for=False, message=message))
    return placed, misdated


def _consider_pause(
    settings: RetrainingSettings, now: datetime, attempts: Sequence[Attempt]
) -> Consideration:
    if not attempts:
        return Consideration(name="pause", speaks_for=True, message="There was no retraining before.")
    last = max(each.time for each in attempts)
    free = last + timedelta(hours=settings.cool_down_hours)
    message = (
        f"The last retraining was started at {_utc(last)} UTC; after a pause of "
        f"{count_of(settings.cool_down_hours, 'hour')} (retraining.cool_down_hours) one may start by itself, "
        f"from {_utc(free)} UTC on; at once by --set retraining.force=true."
    )
    return Consideration(name="pause", speaks_for=now >= free, message=message)


def _consider_budget(
    settings: RetrainingSettings, now: datetime, attempts: Sequence[Attempt]
) -> Consideration:
    start = now - timedelta(days=settings.budget_days)
    used = sum(each.automatic and each.time > start for each in attempts)
    message = (
        f"Retrainings that started by themselves within {count_of(settings.budget_days, 'day')} "
        f"(retraining.budget_days): {used}, of at most {settings.budget} (retraining.budget)."
    )
    return Consideration(name="budget", speaks_for=used < settings.budget, message=message)

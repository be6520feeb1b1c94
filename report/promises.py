"""What a decision rule cannot promise with its held-out images, what follows, and what it would take."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from report.advice import Advice, Severity
from report.formatting import format_range, format_share, list_names
from report.story import RunStory
from vision.base.wording import NOISE, count_of, format_hundred
from vision.data.groups.grouping import suggest_groups
from vision.data.records import Manifest, Split, Splits
from vision.decision.records import DecisionRule, ReviewThreshold, UnknownThreshold
from vision.decision.unknown_threshold import fewest_for_threshold
from vision.evaluation.records import DecisionRates

NO_GROUPS = "Are some photos of the same individual, burst or place? No groups are declared."
GROUPS_IN_NAMES = "Are some photos of the same individual or visit? Your file names suggest {count} of them."


@dataclass(frozen=True)
class Promise:
    """What the rule promises of known images, what decides it, and what test shows.

    Attributes:
        threshold: the score or confidence that decides; empty where nothing can be promised.
        state: kept, open, broken or none.
    """

    text: str
    threshold: str
    measured: str
    state: str


@dataclass(frozen=True)
class _Known:
    """How much of the known classes there is in all splits: images, or groups where they are declared."""

    number: int
    noun: str


def list_shortfalls(story: RunStory) -> tuple[Advice, ...]:
    """The promises for which there are too few held-out images; none where the run set no thresholds."""
    if story.rule is None:
        return ()
    known = _count_known(story.manifest, story.splits)
    return (*_miss_review(story.rule, known), *_miss_unknown(story.rule, known))


def list_promises(story: RunStory) -> tuple[Promise, ...]:
    """The promises of the decision rule beside what was measured on test."""
    known = [each for each in story.test.rates if each.kind == "known"] if story.test else []
    if story.rule is None or not known:
        return ()
    review, wrong = story.rule.review, known[0].wrong_among_accepted_interval
    value = known[0].wrong_among_accepted
    decided = Promise(
        f"at most {100 * review.target_risk:g}% of what is decided alone is wrong",
        f"a person looks where confidence is below {review.value:.4f}" if review.attainable else "",
        format_range(wrong) if wrong else format_share(value),
        _state(value, wrong.low if wrong else math.nan, review.target_risk, attainable=review.attainable),
    )
    return (*_promise_unknown(story.rule, known[0]), decided, *_promise_set(story))


def _promise_set(story: RunStory) -> Iterator[Promise]:
    """The promise of prediction sets; none of a record without them."""
    threshold = story.rule.prediction_set if story.rule else None
    if threshold is None or story.test is None:
        return
    covers, missed = story.test.set_covers, "nothing"
    low = value = math.nan
    if covers is not None:
        value, low = 1.0 - covers.value, 1.0 - covers.high
        missed = f"{format_range(covers)} hold it, {story.test.set_size:.1f} classes in a set"
    yield Promise(
        f"the set of classes lacks the true one for at most {100 * threshold.alpha:g}% of known images",
        f"a class is in it from probability {1.0 - threshold.value:.4f} on" if threshold.attainable else "",
        missed,
        _state(value, low, threshold.alpha, attainable=threshold.attainable),
    )


def _promise_unknown(rule: DecisionRule, known: DecisionRates) -> Iterator[Promise]:
    """A promise for each of the two scores; one for both where a record does not tell them apart."""
    unknown, stranger, apart = rule.unknown, rule.stranger, promised_strangers(rule)
    text, limit = f"at most {100 * unknown.alpha:g}% of known images are called unknown", unknown.alpha
    called = known.called_unknown
    if stranger is not None and known.called_stranger and known.called_look_alike:
        called, text = known.called_look_alike, f"{text} as look-alikes"
        yield Promise(
            f"at most {100 * stranger.alpha:g}% of known images are called unknown as strangers",
            f"a stranger score above {stranger.value:.3f} is unknown",
            format_range(known.called_stranger),
            _state(
                known.called_stranger.value,
                known.called_stranger.low,
                stranger.alpha,
                attainable=stranger.attainable,
            ),
        )
    elif apart:
        text, limit = (
            f"at most {100 * (limit + apart):g}% of known images are called unknown, "
            + (f"{100 * apart:g}% as strangers"),
            limit + apart,
        )
    yield Promise(
        text,
        f"an unknown score above {unknown.value:.3f} is unknown" if unknown.attainable else "",
        format_range(called),
        _state(called.value, called.low, limit, attainable=unknown.attainable),
    )


def _state(value: float, low: float, allowed: float, *, attainable: bool) -> str:
    if not attainable or math.isnan(value):
        return "none"
    if value <= allowed + NOISE:
        return "kept"
    return "broken" if low > allowed + NOISE else "open"


def list_cautions(story: RunStory) -> tuple[str, ...]:
    """What to know before the figures of a run are trusted, a line each, for the terminal."""
    lines = [f"{each.answer} {each.finding} {each.action}" for each in list_shortfalls(story)]
    if lacks_groups(story):
        advice = advise_groups(story)
        lines.append(f"{advice.finding} {advice.action}")
    if alone := _list_lone_classes(story.splits):
        lines.append(
            f"Outside test there is one group alone of {list_names(alone)}: it cannot be held out, so no "
            "promise counts these images. Add images of other individuals."
        )
    return tuple(lines)


def _list_lone_classes(splits: Splits | None) -> list[str]:
    """Known classes of which one group alone lies outside test."""
    if splits is None:
        return []
    outside = splits.used_as(*(split for split in Split if split is not Split.TEST))
    return [
        name
        for name in splits.class_names
        if (rows := splits.image_classes.places.get(name)) is not None
        and splits.num_groups(rows[outside[rows]]) == 1
    ]


def advise_groups(story: RunStory) -> Advice:
    """What to ask and to set where no groups are declared, with the ready line where the names tell some."""
    found = suggest_groups(story.manifest.entries if story.manifest else ())
    why = "" if story.test is None else ", or these figures are too good"
    if found.pattern is None:
        return Advice(NO_GROUPS, f"Then set dataset.group_by{why}.")
    question = GROUPS_IN_NAMES.format(count=f"{found.num_groups:,}")
    return Advice(question, f"Set dataset.{found.setting()}{why}.")


def lacks_groups(story: RunStory) -> bool:
    """Whether no image of the data set says what it belongs to, and most look like no other."""
    if story.manifest is None or _has_groups(story.manifest):
        return False
    return 2 * story.manifest.num_alike() < len(story.manifest.entries)


def promised_strangers(rule: DecisionRule) -> float:
    """Promised largest share of known images called strangers; 0 where nothing is promised of them."""
    return rule.stranger.alpha if rule.stranger is not None and rule.stranger.attainable else 0.0


def state_thresholds(rule: DecisionRule) -> str:
    """When an image is called unknown and when it goes to a person, in words.

    The value of a threshold whose promise is not attainable decides otherwise than its name says, or nothing;
    that of strangers always decides.
    """
    two = _state_two(rule)
    if rule.stranger is None:
        return two
    above = f"above {rule.stranger.value:.3f}"
    return (
        f"An image whose stranger score is {above} is called unknown, as a stranger. Of the others: "
        f"{two[0].lower()}{two[1:]}"
    )


def _state_two(rule: DecisionRule) -> str:
    """What the unknown score and the confidence decide of images that are no strangers."""
    strange = f"its unknown score is above {rule.unknown.value:.3f}"
    doubtful = (
        f"the model is less than {rule.review.value:.4f} sure, after its logits are divided by the "
        f"temperature {rule.temperature.value:.3f}"
    )
    if rule.unknown.attainable and rule.review.attainable:
        return f"An image is called unknown when {strange}, and goes to a person when {doubtful}."
    if rule.unknown.attainable:
        return (
            f"An image is called unknown when {strange}. Every other goes to a person, however sure the "
            "model is."
        )
    if rule.review.attainable:
        return f"No image is called unknown. An image goes to a person when {strange} or when {doubtful}."
    return "Every image goes to a person, whatever its unknown score and however sure the model is."


def _miss_review(rule: DecisionRule, known: _Known | None) -> Iterator[Advice]:
    review = rule.review
    if review.attainable:
        return
    but = " that it does not call unknown" if rule.unknown.attainable else ""
    other = next((rung for rung in review.ladder if rung.attainable), None)
    if other is not None:
        accepted = format_hundred(other.coverage)
        way = f"Set review.target_risk to {other.target_risk:g}: it accepts {accepted} of 100."
    elif review.num_needed is not None:
        way = f"With errors as often as now it takes {_scale(known, review.num_needed, review.num_images)}."
    else:
        way = (
            "More images like these would not help: it errs too often where it is sure. A better network may."
        )
    yield Advice(
        f"That at most {100 * review.target_risk:g}% of what is decided alone is wrong cannot be promised "
        f"with {_count(review, int(review.num_images / review.design_effect + 1e-9))} held-out images "
        "and the errors made on them.",
        way,
        Severity.WARNING,
        f"It decides nothing alone: every image{but} goes to a person.",
    )


def _miss_unknown(rule: DecisionRule, known: _Known | None) -> Iterator[Advice]:
    unknown = rule.unknown
    if unknown.attainable:
        return
    needed = fewest_for_threshold(unknown.alpha, unknown.delta)
    effective = int(unknown.effective_size)
    way = f"set unknowns.alpha to {math.ceil(1000 * unknown.attainable_alpha) / 1000:.3f}"
    answer = "It never answers unknown: what looks like nothing it was taught goes to a person."
    if rule.stranger is not None:
        answer = (
            "It answers unknown to strangers alone: what is of the kind it was taught, but like none of "
            "its classes, goes to a person."
        )
    yield Advice(
        f"That at most {100 * unknown.alpha:g}% of known images are called unknown cannot be promised: it "
        f"needs {needed} independent held-out images, and has {_count(unknown, effective)}.",
        f"It takes {_scale(known, needed, effective)}. Or promise less: {way}.",
        Severity.WARNING,
        answer,
    )


def _count_known(manifest: Manifest | None, splits: Splits | None) -> _Known | None:
    if manifest is None or splits is None:
        return None
    held_out = set(splits.unknown_class_names)
    known = splits.used_as() & ~splits.image_classes.are_in(held_out)
    return _Known(splits.num_groups(np.flatnonzero(known)), "group" if _has_groups(manifest) else "image")


def _has_groups(manifest: Manifest) -> bool:
    return manifest.num_declared() > 0


def _count(threshold: UnknownThreshold | ReviewThreshold, effective: int) -> str:
    """`35`, or what the images count as where they come in groups."""
    if effective == threshold.num_images:
        return str(effective)
    return (
        f"{effective} ({count_of(threshold.num_images, 'image')} of "
        f"{count_of(threshold.num_groups, 'group')})"
    )


def _scale(known: _Known | None, needed: int, there: int) -> str:
    """How many images that is in all splits together, or held-out ones where the splits are not known."""
    if known is None or there < 1:
        return f"{needed} held-out images"
    return (
        f"about {count_of(math.ceil(known.number * needed / there), known.noun)} in all, where there are "
        f"{known.number} now"
    )

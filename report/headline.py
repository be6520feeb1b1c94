"""The verdict of a run and what its model does, in a few sentences."""

from __future__ import annotations

import math
from dataclasses import dataclass

from report.formatting import format_hundred_bounds, list_names, split_hundred
from report.promises import lacks_groups, list_shortfalls
from report.story import RunStory
from report.unknown_rows import far_rows, near_rows
from vision.base.names import isolate
from vision.base.wording import NOISE, count_of, format_hundred, whole_percent
from vision.bundle.weak import tell_weak_classes
from vision.decision.records import DecisionRule
from vision.evaluation.records import DecisionRates, Evaluation, Measured
from vision.gate.records import Promotion, Verdict

NOTHING_READ = "It ended before the data were read."


@dataclass(frozen=True)
class Headline:
    """What stands on top of the report; promoted, kept, refused or failed, its tone, chooses the colour."""

    tone: str
    title: str
    sentences: tuple[str, ...]


FEW = 30
"""Images below which a share is told of them, not of 100, and groups below which no luck is told."""

HELPER = "It is ready as a helper: it suggests, a person decides."


def write_headline(story: RunStory) -> Headline:
    """The verdict in words; a run that ended early says how far it came."""
    if story.failure is not None or story.promotion is None:
        reached = [name for name, done in list_stages(story) if done]
        told = f"It came as far as: {', '.join(reached)}." if reached else NOTHING_READ
        return Headline("failed", "The run did not reach a verdict", (told, *_list_answers(story)))
    promotion, name = story.promotion, story.config.name
    promoted = f"Ready: {_name_version(story)} of {name} is now in production"
    if not promotion.decides:
        promoted = f"Ready as a helper: {_name_version(story)} of {name} suggests, a person decides"
    titles = {
        Verdict.PROMOTED: promoted,
        Verdict.KEPT: f"Kept: the model of {name} that was in production stays",
        Verdict.REFUSED: f"Refused: this model of {name} does not go into production",
    }
    weak = "" if story.test is None else tell_weak_classes(story.test.weak_classes())
    sentences = (*_tell_why(promotion), *_list_answers(story), *filter(None, [weak]))
    return Headline(promotion.verdict.value, titles[promotion.verdict], sentences)


def tell_verdict(story: RunStory, promotion: Promotion) -> str:
    """The verdict for the terminal: what is in production now, or why this model is not, a reason a line."""
    if promotion.verdict is Verdict.PROMOTED:
        helper = "" if promotion.decides else f" {HELPER}"
        return f"promoted: {_name_version(story)} of {story.config.name} is now in production.{helper}"
    lines = (f"{promotion.verdict}: {promotion.reason}".rstrip(), *promotion.reasons)
    return "\n  - ".join(lines)


def describe_model(story: RunStory) -> tuple[str, ...]:
    """What the model does with known pictures, look-alikes and strangers, a sentence each."""
    test = story.test
    if test is None:
        return ()
    rates = {each.kind: each for each in test.rates}
    sentences = []
    if "known" in rates and story.rule is not None:
        sentences.append(_describe_known(rates["known"], story.rule))
    sentences.append(_describe_accuracy(story, test))
    if "near" in rates:
        sentences.append(_describe_look_alikes(rates["near"], test))
    if "far" in rates:
        sentences.append(_describe_strangers(rates["far"], test))
    return tuple(sentences)


def _describe_accuracy(story: RunStory, test: Evaluation) -> str:
    """How many new pictures it names right, on what that rests, and what the other pictures say."""
    expected = test.expected
    bounds = format_hundred_bounds(expected.accuracy)
    groups = "" if lacks_groups(story) else f" of {count_of(expected.num_groups, 'group')}"
    how = ", each named by a model fitted without it" if test.is_lucky is not None else ""
    told = filter(None, (tell_other(story, test), tell_weak_classes(test.weak_classes())))
    return (
        f"Right on {''.join(count_right(expected))} new pictures"
        f"{f' ({bounds})' if bounds else ''}; measured on {count_of(expected.num_images, 'picture')}"
        f"{groups}{how}.{''.join(f' {each}' for each in told)}"
    )


def count_right(measured: Measured) -> tuple[str, str]:
    """How many are right, and of how many: of 100, or of the images where these are few."""
    share, number = measured.accuracy.value, measured.num_images
    if number < FEW and not math.isnan(share):
        return str(round(share * number)), f" of {number}"
    return format_hundred(share), " of 100"


def tell_other(story: RunStory, test: Evaluation) -> str:
    """The accuracy that is not told first, of test or of held-out images, and whether test was a draw.

    Empty where there is one alone. Of few groups, or images where none are declared, nothing is said of luck.
    """
    if test.is_lucky is None:
        if (other := test.held_out) is None:
            return ""
        return f"Held-out pictures ({other.num_images:,}): {''.join(count_right(other))}."
    right = "".join(count_right(test.measured))
    what, number = ("picture", test.num_images) if lacks_groups(story) else ("group", test.num_groups)
    if number < FEW:
        return f"Test pictures ({test.num_images:,}): {right}."
    word = "a lucky" if test.is_lucky else "an unlucky"
    return f"The {count_of(number, what)} of the test split were {word} draw: {right}."


def list_stages(story: RunStory) -> tuple[tuple[str, bool], ...]:
    """The stages of a run, and whether each was reached."""
    trained = {history.candidate for history in story.histories}
    return (
        ("data read", story.manifest is not None),
        ("images split", story.splits is not None),
        (f"{len(trained)} of {len(story.config.training.candidates)} candidates trained", bool(trained)),
        (f"{len(story.evaluations)} judged on validation", bool(story.evaluations)),
        ("winner chosen", story.comparison is not None),
        ("export checked", story.precision_report is not None),
        ("judged on test", story.test is not None),
        ("gate asked", story.promotion is not None),
    )


def _name_version(story: RunStory) -> str:
    registration = story.registration
    return f"version {registration.version}" if registration and registration.version else "the model"


def _tell_why(promotion: Promotion) -> tuple[str, ...]:
    """The reason of the verdict, in one line; of a model that is in production its reason alone."""
    reason = promotion.reason[:1].upper() + promotion.reason[1:]
    if promotion.verdict is Verdict.PROMOTED and reason:
        return (reason,) if promotion.decides else ()  # the title says all of it
    return tuple(filter(None, (reason, *promotion.reasons)))


def _list_answers(story: RunStory) -> tuple[str, ...]:
    """What the model answers because a promise cannot be kept; nothing before the test."""
    return tuple(each.answer for each in list_shortfalls(story)) if story.test is not None else ()


def _describe_known(known: DecisionRates, rule: DecisionRule) -> str:
    """What becomes of 100 known pictures: decided alone, to a person, called unknown."""
    alone, person, unknown = split_hundred(*decided_shares(known))
    are, go = ("is" if unknown == "1" else "are"), ("goes" if person == "1" else "go")
    if not rule.review.attainable:
        return (
            f"It decides nothing alone: {person} of 100 {go} to you with a suggestion, {unknown} {are} "
            "called unknown."
        )
    wrong, promised = known.wrong_among_accepted, rule.review.target_risk
    more = ", which is more" if wrong > promised + NOISE else ""
    measured = "" if math.isnan(wrong) else f" ({format_wrong(wrong, promised)} on test{more})"
    return (
        f"It decides {alone} of 100 pictures alone, of which at most "
        f"{100 * promised:g} in 100 are wrong{measured}; {person} {go} to a person, {unknown} "
        f"{are} called unknown."
    )


def format_wrong(wrong: float, promised: float) -> str:
    """A share of wrong as so many of 100, with decimals where rounding hides that a promise is broken."""
    hides = promised < wrong and whole_percent(wrong) <= 100 * promised + NOISE
    return f"{100 * wrong:.3g}" if hides else format_hundred(wrong)


def decided_shares(rates: DecisionRates) -> tuple[float, float, float]:
    """Of these pictures: decided alone, to a person, called unknown."""
    return rates.accepted.value, rates.reviewed.value, rates.called_unknown.value


def _describe_look_alikes(rates: DecisionRates, test: Evaluation) -> str:
    """What becomes of 100 pictures of classes that were held out, and which of these are hard to tell."""
    rows = near_rows(test)
    which = ""
    if len(rows) > 1:
        which = f" Hardest to tell: {isolate(rows[0].class_name)}; easiest: {isolate(rows[-1].class_name)}."
    named, person, unknown = split_hundred(*decided_shares(rates))
    return (
        f"Of 100 look-alikes (classes it was never taught) it calls {unknown} unknown, asks a person about "
        f"{person}, and wrongly names {named}.{which}"
    )


def _describe_strangers(rates: DecisionRates, test: Evaluation) -> str:
    """What becomes of pictures of something else, and what these were."""
    number = rates.num_images
    unknown, wrong = (round(number * each.value) for each in (rates.called_unknown, rates.accepted))
    kinds = list_names([row.class_name for row in far_rows(test)])
    return (
        f"Pictures of something else{f' ({kinds})' if kinds else ''}: {unknown} of {number} called unknown, "
        f"{wrong} wrongly named."
    )

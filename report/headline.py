"""The answer first: what the run's verdict is and what the model can do, in a few sentences."""

from __future__ import annotations

import math
from dataclasses import dataclass

from report.formatting import format_bounds, format_range, format_share, list_names, plain_name
from report.promises import list_shortfalls, promised_strangers
from report.story import RunStory
from report.unknown_rows import near_rows
from vision.base.record import Interval
from vision.decision.records import DecisionRule
from vision.evaluation.records import DecisionRates, Evaluation
from vision.gate.records import Promotion, Verdict

NOTHING_READ = "It ended before the data were read."


@dataclass(frozen=True)
class Headline:
    """What stands on top of the report.

    Attributes:
        tone: promoted, kept, refused or failed; chooses the colour.
        title: the verdict in a few words.
        sentences: what the model can do, then why the verdict fell so.
    """

    tone: str
    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """One figure of the headline with what it means."""

    value: str
    name: str
    detail: str


HELPER = "It is ready as a helper: it suggests, a person decides."


@dataclass(frozen=True)
class Promise:
    """What calibration images promised and what test shows; `state` is kept, open, broken or none."""

    text: str
    measured: str
    state: str


def write_headline(story: RunStory) -> Headline:
    """The verdict in words; a run that ended early says how far it came."""
    sentences = describe_story(story)
    if story.failure is not None or story.promotion is None:
        reached = [name for name, done in list_stages(story) if done]
        told = f"It came as far as: {', '.join(reached)}." if reached else NOTHING_READ
        return Headline("failed", "The run did not reach a verdict", (told, *sentences))
    verdict, reasons = story.promotion.verdict, " ".join(story.promotion.reasons)
    version = _name_version(story)
    titles = {
        Verdict.PROMOTED: f"Promoted: {version} of {story.config.name} is now in production",
        Verdict.KEPT: f"Kept: the model of {story.config.name} that was in production stays",
        Verdict.REFUSED: f"Refused: this model of {story.config.name} does not go into production",
    }
    helper = () if story.promotion.decides or verdict is not Verdict.PROMOTED else (HELPER,)
    reason = story.promotion.reason
    all_of_it = reasons if verdict is not Verdict.PROMOTED or not reason else ""
    why = " ".join(filter(None, ["Why:", reason, all_of_it])) if reason or reasons else ""
    return Headline(verdict.value, titles[verdict], (*helper, *sentences, why))


def tell_verdict(story: RunStory, promotion: Promotion) -> str:
    """The verdict in a line for the terminal: what is in production now, or why this model is not."""
    if promotion.verdict is Verdict.PROMOTED:
        helper = "" if promotion.decides else f" {HELPER}"
        return f"promoted: {_name_version(story)} of {story.config.name} is now in production.{helper}"
    return " ".join([f"{promotion.verdict}:", *filter(None, [promotion.reason]), *promotion.reasons])


def describe_story(story: RunStory) -> tuple[str, ...]:
    """What the model can do, then what it answers because a promise cannot be kept; empty before the test."""
    if story.test is None:
        return ()
    return (
        *describe_model(story.test, story.rule),
        *(each.answer for each in list_shortfalls(story)),
    )


def describe_model(test: Evaluation, rule: DecisionRule | None) -> tuple[str, ...]:
    """What the model does with known, near and far images, one sentence each; first what it decides alone."""
    rates = {each.kind: each for each in test.rates}
    sentences = []
    if "known" in rates and rule is not None:
        sentences.append(_describe_known(rates["known"], rule))
    sentences.append(
        f"It names {format_range(test.accuracy)} of unseen images of its {len(test.class_names)} "
        f"classes right; that was measured on {test.num_images} images of {test.num_groups} groups."
    )
    near = near_rows(test)
    if "near" in rates and near:
        easy = max(near, key=lambda row: row.auroc.value)
        hard = near[0].class_name
        which = (
            f": easiest is {plain_name(easy.class_name)}, hardest {plain_name(hard)}" if len(near) > 1 else ""
        )
        sentences.append(
            f"Shown {_classes(len(near))} that it was never taught, it says unknown to "
            f"{format_share(rates['near'].called_unknown.value)} of them{which}."
        )
    if "far" in rates:
        kinds = [row.class_name for row in test.unknown if row.kind == "far" and row.class_name != "all"]
        named = f" ({list_names(list(dict.fromkeys(kinds)))})" if kinds else ""
        sentences.append(
            f"To pictures of nothing of the kind{named} it says unknown in "
            f"{format_share(rates['far'].called_unknown.value)} of cases."
        )
    return tuple(sentences)


def list_figures(story: RunStory) -> tuple[Figure, ...]:
    """The four figures that matter most; fewer where something was not measured."""
    if story.test is None:
        return ()
    test, rates = story.test, {each.kind: each for each in story.test.rates}
    figures = [
        Figure(
            format_share(test.accuracy.value),
            "named right",
            f"{story.config.bootstrap.level:.0%} interval {format_bounds(test.accuracy)}",
        )
    ]
    if "known" in rates:
        known = rates["known"]
        wrong = known.wrong_among_accepted
        detail = "" if math.isnan(wrong) else f"{format_share(wrong)} of the accepted are wrong"
        figures.append(Figure(format_share(known.accepted.value), "of known accepted", detail))
    for kind, name in (("near", "of look-alikes called unknown"), ("far", "of far images called unknown")):
        if kind in rates:
            area = _pooled_auroc(story.test, kind)
            detail = f"AUROC {area.value:.2f} ({area.low:.2f} to {area.high:.2f})" if area else ""
            figures.append(Figure(format_share(rates[kind].called_unknown.value), name, detail))
    return tuple(figures)


def list_promises(story: RunStory) -> tuple[Promise, ...]:
    """The promises of the decision rule beside what was measured on test."""
    known = [each for each in story.test.rates if each.kind == "known"] if story.test else []
    if story.rule is None or not known:
        return ()
    unknown, review, apart = story.rule.unknown, story.rule.review, promised_strangers(story.rule)
    beside = f", {100 * apart:g}% as strangers" if apart else ""
    called, wrong = known[0].called_unknown, known[0].wrong_among_accepted
    interval = known[0].wrong_among_accepted_interval
    low = interval.low if interval else math.nan
    return (
        Promise(
            f"at most {100 * (unknown.alpha + apart):g}% of known images are called unknown{beside}",
            format_range(called),
            _state(called.value, called.low, unknown.alpha + apart, attainable=unknown.attainable),
        ),
        Promise(
            f"at most {100 * review.target_risk:g}% of accepted answers are wrong",
            format_range(interval) if interval else format_share(wrong),
            _state(wrong, low, review.target_risk, attainable=review.attainable),
        ),
    )


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


def _describe_known(known: DecisionRates, rule: DecisionRule) -> str:
    """What becomes of 100 known images: decided alone, to a person, called unknown."""
    rest = (
        f"it sends {100 * known.reviewed.value:.0f} to a person and calls "
        f"{100 * known.called_unknown.value:.0f} unknown that it should know"
    )
    if not rule.review.attainable:
        return f"Of 100 images of its classes it decides none alone; {rest}."
    wrong = known.wrong_among_accepted
    measured = "" if math.isnan(wrong) else f" (on test {format_share(wrong)})"
    return (
        f"It decides {100 * known.accepted.value:.0f} of 100 images of its classes alone; of these at most "
        f"{100 * rule.review.target_risk:g} in 100 are wrong{measured}. Of the others {rest}."
    )


def _state(value: float, low: float, allowed: float, *, attainable: bool) -> str:
    if not attainable or math.isnan(value):
        return "none"
    if value <= allowed:
        return "kept"
    return "broken" if low > allowed else "open"


def _pooled_auroc(test: Evaluation, kind: str) -> Interval | None:
    pooled = [row.auroc for row in test.deciding_rows() if row.kind == kind and row.class_name == "all"]
    return pooled[0] if pooled else None


def _classes(count: int) -> str:
    return f"images of {count} classes" if count != 1 else "images of one class"

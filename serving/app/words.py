"""An answer in plain words, for somebody who has never heard of a threshold."""

from __future__ import annotations

import re
from dataclasses import dataclass

from serving.api.schemas import ModelDescription, PredictionAnswer
from vision.decision.records import Decision, UnknownKind

CONFIDENCE_IN_WORDS = (
    "Of answers with 90%, about nine in ten should be right, on images like those that the model was "
    "calibrated on. The report of its training says how far off that was on test images."
)


@dataclass(frozen=True)
class PlainAnswer:
    """What a person reads.

    Attributes:
        title: the answer in a few words; plain text.
        meaning: what it asks of the reader; plain text.
        promise: what such answers are worth; plain text.
    """

    title: str
    meaning: str
    promise: str


def introduce(model: ModelDescription) -> str:
    """Which model answers, and what it knows."""
    names = ", ".join(show_class(name) for name in model.class_names)
    known = f"Model {model.name} version {model.version}. It knows {len(model.class_names)} classes: {names}."
    return f"{known} What is none of them, it should call unknown." if model.unknown.attainable else known


def tell_limits(model: ModelDescription) -> tuple[str, ...]:
    """What the model cannot do because it was calibrated on too few images."""
    limits = []
    if not model.unknown.attainable:
        limits.append(
            "This model never says that it does not know: it was calibrated on too few images for that. A "
            "picture of something else gets the name of one of its classes."
        )
    if not model.review.attainable:
        limits.append(
            "Every answer of this model is for a person to check, however sure it is: it was calibrated on "
            "too few images to promise how often it is right."
        )
    return tuple(limits)


def put_in_words(answer: PredictionAnswer, model: ModelDescription) -> PlainAnswer:
    """The decision, what to do with it, and what it promises.

    Args:
        answer: of the service.
        model: what the service said of the model that answered.
    """
    name = show_class(answer.class_name)
    if answer.unknown_kind == UnknownKind.STRANGER:
        return PlainAnswer(
            "I do not know this",
            "It is not a picture of the kind that I was taught: its colours and textures are unlike those of "
            "all my pictures.",
            "",
        )
    if answer.decision == Decision.UNKNOWN:
        return PlainAnswer(
            "I do not know this",
            f"It is unlike the {len(model.class_names)} classes that I was taught. Of those, {name} is the "
            "nearest, and that is no identification.",
            _promise_of_unknown(answer, model),
        )
    if answer.decision == Decision.REVIEW:
        return PlainAnswer(f"Perhaps {name}: please look yourself", _why_review(answer, model), "")
    return PlainAnswer(
        name[:1].upper() + name[1:],
        f"It looks like what I was taught, and I am sure enough of it: {show_share(answer.confidence)}.",
        _promise_of_review(model),
    )


def show_class(name: str) -> str:
    """A class as people write it."""
    return name.replace("_", " ")


def show_share(share: float) -> str:
    """A probability as a percentage that never claims to be certain: 99.97% is "over 99.9%"."""
    if share > 0.999:
        return "over 99.9%"
    if share < 0.001:
        return "under 0.1%"
    return f"{100 * share:.1f}".removesuffix(".0") + "%"


def escape_markdown(text: str) -> str:
    """The text, every sign escaped that Markdown, LaTeX or Streamlit would take for theirs."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)


def _why_review(answer: PredictionAnswer, model: ModelDescription) -> str:
    sure = show_share(answer.confidence)
    if answer.unknown.score > answer.unknown.threshold:
        return (
            "It is unlike what I was taught, but I was calibrated on too few images to promise how seldom I "
            "say so by mistake."
        )
    if not model.review.attainable:
        return (
            f"I am {sure} sure, but I was calibrated on too few images to promise how often I am right, so "
            "every answer of mine is for a person to check."
        )
    return (
        f"I am {sure} sure. From {show_share(model.review.threshold)} on an answer stands without a person."
    )


def _promise_of_review(model: ModelDescription) -> str:
    if not model.review.attainable:
        return ""
    return (
        f"Of all answers that I let stand, this one among them, at most "
        f"{show_share(model.review.target_risk)} are wrong: {_terms(model.review.delta)}."
    )


def _promise_of_unknown(answer: PredictionAnswer, model: ModelDescription) -> str:
    rarity = (
        f"Of the known images that I was calibrated on, {show_share(answer.unknown.p_value)} or fewer looked "
        "as strange to me as this one."
    )
    if not model.unknown.attainable:
        return rarity
    return (
        f"{rarity} At most {show_share(model.unknown.alpha)} of what I do know gets this answer by mistake: "
        f"{_terms(model.unknown.delta)}."
    )


def _terms(delta: float) -> str:
    """What every promise rests on; `delta` is the probability that the calibration misled it."""
    return f"on images like those I was calibrated on, with {show_share(1 - delta)} probability"

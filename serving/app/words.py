"""An answer in words for a person, without technical terms."""

from __future__ import annotations

import re
from dataclasses import dataclass

from serving.api.schemas import ModelDescription, PredictionAnswer
from serving.client import RefusedError
from vision.base.errors import ImageError, ImageFormatError, ServiceError, TaxonError
from vision.base.names import isolate
from vision.decision.records import Decision, UnknownKind

KEEP_IMAGES = "`serve: {log: {keep_images: true}}` into the config, then `python run.py deploy NAME`"
"""What to write, and type, so that the log keeps pictures; Markdown."""

FORMATS = "a JPEG, PNG, WebP, GIF, TIFF, HEIC or AVIF"

KIND_NAMES = {"known": "classes that it knows", "near": "look-alikes", "far": "other things"}
"""Kind of test pictures in a passport -> what a person reads."""

_REFUSALS = {
    "no-key": "That key is none of this service's. Ask whoever started it for one.",
    "image-format": "{name} is not a picture. Send {formats}.",
    "image-unusable": "{name} is damaged, cut short or far too large. Open it to see whether it is whole.",
    "too-large": "{name} is too large even when shrunk. Send a smaller picture.",
    "too-slow": "{name} did not arrive in time. Try again.",
    "busy": "{name} was not looked at, because the service has too much to do. Try again in a minute.",
    "overloaded": "{name} was not looked at, because the service has too much to do. Try again in a minute.",
    "too-often": "{name} was not looked at, because this key had its share. Try again in a minute.",
    "scope": "That key may not ask for this. Ask whoever started the service for another.",
    "loading": "{name} was not looked at, because the service is just starting. Try again in a few seconds.",
    "group": "The name of camera, individual or visit is too long or has signs that cannot be printed.",
    "no-such-answer": "The answer to {name} is no longer kept. Drop the picture again, then correct it.",
    "not-logged": "It could not be written down, because the log of answers is off or fails.",
    "not-told-apart": "The new class was not taken.",
    "enrolled-enough": "The new class was not taken: as many pictures of new classes are kept as may be. "
    "Train with them, or forget one.",
    "no-known-images": "This model keeps no known images to compare with. Train and deploy it again.",
    "form": "The name must have 1 to 255 printable characters.",
}
"""Code of a refusal (`serving.api.problems.PROBLEMS`) -> what a person reads."""


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
    """Which model answers, and how much it knows."""
    known = f"{model.name} version {model.version} knows {len(model.class_names)} classes."
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


def tell_promises(model: ModelDescription) -> str:
    """What the model promises of its answers to several pictures; empty where it promises nothing.

    Args:
        model: what the service said of it.
    """
    named, unknown = model.review, model.unknown
    told = []
    if named.attainable:
        risk = show_share(named.target_risk)
        told.append(f"Of what I decide alone at most {risk} is wrong: {_terms(named.delta)}.")
    if unknown.attainable:
        alpha = show_share(unknown.alpha)
        known, stranger = "Of pictures of the classes that I know I call at most", model.stranger
        if stranger is None:
            told.append(f"{known} {alpha} unknown by mistake.")
        elif not stranger.attainable:
            told.append(f"{known} {alpha} unknown by mistake as look-alikes.")
        else:
            both = show_share(unknown.alpha + stranger.alpha)
            told.append(
                f"{known} {both} unknown by mistake: {show_share(stranger.alpha)} as strangers, {alpha} as "
                "look-alikes."
            )
    return " ".join(told)


def tell_confidence(model: ModelDescription) -> str:
    """How to read confidence: as a share of right answers, or as an order where test images say so."""
    if model.passport is not None and model.passport.confidence_is_share is False:
        return (
            "Read confidence as an order, not as a share of right answers: on test images it was off by more "
            "than chance allows."
        )
    return (
        "Confidence is meant as a share: of answers with 90%, about nine in ten right, on images like those "
        "of its calibration. The report of its training says how far off that was on test images."
    )


def put_in_words(answer: PredictionAnswer, model: ModelDescription) -> PlainAnswer:
    """The decision, what to do with it, and what it promises.

    Args:
        answer: of the service.
        model: what the service said of the model that answered.
    """
    name = isolate(answer.class_name)
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
    risk = (
        f"If it is one of the {len(model.class_names)} kinds that I know: of such answers at most "
        f"{show_share(model.review.target_risk)} are wrong."
    )
    return PlainAnswer(
        f"{name} ({_tell_sureness(answer.confidence)})",
        risk if model.review.attainable else "",
        _promise_of_review(model),
    )


def explain_fault(name: str, error: TaxonError) -> str:
    """Why a file has no answer, and what to do; plain text without the words of HTTP."""
    if isinstance(error, ImageFormatError):
        return f"{name} is not a picture. Send {FORMATS}."
    if isinstance(error, ImageError):
        return f"{name} cannot be used: {error}."
    if isinstance(error, RefusedError):
        return _REFUSALS.get(error.code, "{name} got no answer. The service's log says why: {logs}").format(
            name=name, logs="python run.py service logs", formats=FORMATS
        )
    if isinstance(error, ServiceError):
        return f"{name} got no answer: the service did not reply. Does it run? python run.py service status"
    return str(error)


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


def _tell_sureness(confidence: float) -> str:
    if confidence >= 0.99:
        return "very sure"
    return "sure" if confidence >= 0.9 else "fairly sure"


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
    return f"I am {sure} sure. From {show_share(model.review.threshold)} on I decide alone."


def _promise_of_review(model: ModelDescription) -> str:
    if not model.review.attainable:
        return ""
    return (
        f"Of all that I decide alone, this one among them, at most "
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

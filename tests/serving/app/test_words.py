"""What a person reads is what the service decided, and claims no more than it promised."""

from __future__ import annotations

import re

import pytest

from serving.api.problems import PROBLEMS
from serving.api.schemas import (
    ClassProbability,
    ModelDescription,
    PredictionAnswer,
    ReviewPromise,
    ServedModel,
    UnknownEvidence,
    UnknownPromise,
)
from serving.app.words import (
    escape_markdown,
    explain_fault,
    introduce,
    put_in_words,
    show_share,
    tell_confidence,
    tell_limits,
    tell_promises,
)
from serving.client import RefusedError
from tests.serving.toy import make_passport
from vision.base.errors import ImageError, ImageFormatError, ServiceError, StorageError
from vision.config.export import Precision
from vision.decision.records import Decision, UnknownKind

MODEL = ModelDescription(
    name="reef",
    version="3",
    digest="d" * 64,
    class_names=("ring_damsel", "star_damsel"),
    precision=Precision.FP32,
    image_size=128,
    resize="pad",
    score_name="ewk",
    unknown=UnknownPromise(alpha=0.05, delta=0.1, attainable=True, threshold=2.0),
    review=ReviewPromise(target_risk=0.02, delta=0.1, attainable=True, threshold=0.8),
)


def answer(decision: Decision, confidence: float = 0.9, score: float = 1.0) -> PredictionAnswer:
    return PredictionAnswer(
        prediction_id="id",
        decision=decision,
        class_name="ring_damsel",
        confidence=confidence,
        top_k=(ClassProbability(class_name="ring_damsel", probability=confidence),),
        unknown=UnknownEvidence(score=score, threshold=2.0, p_value=0.013),
        reasons=(),
        model=ServedModel(name="reef", version="3", digest="d" * 64),
        latency_ms=3.0,
    )


def test_accepted_is_named_with_its_confidence_and_promise() -> None:
    words = put_in_words(answer(Decision.ACCEPT), MODEL)
    assert words.title == "ring_damsel (sure)"
    assert "one of the 2 kinds that I know" in words.meaning
    assert "at most 2% are wrong" in words.meaning
    assert words.promise == (
        "Of all that I decide alone, this one among them, at most 2% are wrong: on images like those I "
        "was calibrated on, with 90% probability."
    )


@pytest.mark.parametrize(
    ("confidence", "sure"), [(0.995, "very sure"), (0.99, "very sure"), (0.9, "sure"), (0.85, "fairly sure")]
)
def test_how_sure_is_told_in_words(confidence: float, sure: str) -> None:
    assert put_in_words(answer(Decision.ACCEPT, confidence), MODEL).title == f"ring_damsel ({sure})"


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_refusal_is_told_without_the_words_of_http(code: str) -> None:
    told = explain_fault("fish.jpg", RefusedError("http://x refused fish.jpg with 415: a reason", code))
    assert not re.search(r"http|415|form|[{}]|URL|multipart", told, re.IGNORECASE)
    assert told.endswith((".", "logs"))


def test_a_fault_of_a_file_names_it_and_what_is_read() -> None:
    told = explain_fault("junk.jpg", ImageFormatError("it begins with b'junk'"))
    assert told == "junk.jpg is not a picture. Send a JPEG, PNG, WebP, GIF, TIFF, HEIC or AVIF."
    assert "1 x 9 pixels" in explain_fault("a.png", ImageError("the picture has 1 x 9 pixels"))
    assert "service status" in explain_fault("a.png", ServiceError("http://127.0.0.1 did not answer"))
    assert explain_fault("a.png", StorageError("key: no such file")) == "key: no such file"


def test_confidence_that_was_off_on_test_is_told_as_an_order() -> None:
    assert "nine in ten" in tell_confidence(MODEL)
    passport = make_passport().model_copy(update={"confidence_is_share": False})
    assert tell_confidence(MODEL.model_copy(update={"passport": passport})).startswith(
        "Read confidence as an order"
    )


def test_unknown_is_not_named_as_a_class() -> None:
    words = put_in_words(answer(Decision.UNKNOWN, score=3.0), MODEL)
    assert words.title == "I do not know this"
    assert "ring_damsel is the nearest, and that is no identification" in words.meaning
    assert "1.3% or fewer" in words.promise
    assert "At most 5% of what I do know gets this answer by mistake: on images like" in words.promise
    assert "with 90% probability" in words.promise


def test_a_stranger_is_told_as_such_and_no_class_is_the_nearest() -> None:
    stranger = answer(Decision.UNKNOWN).model_copy(update={"unknown_kind": UnknownKind.STRANGER})
    words = put_in_words(stranger, MODEL)
    assert "not a picture of the kind" in words.meaning
    assert "damsel" not in words.meaning
    assert words.promise == ""


def test_unsure_is_for_a_person_and_promises_nothing() -> None:
    words = put_in_words(answer(Decision.REVIEW, confidence=0.55), MODEL)
    assert words.title == "Perhaps ring_damsel: please look yourself"
    assert words.meaning == "I am 55% sure. From 80% on I decide alone."
    assert words.promise == ""


def test_promises_that_the_calibration_could_not_carry_are_not_made() -> None:
    review = MODEL.review.model_copy(update={"attainable": False})
    unknown = MODEL.unknown.model_copy(update={"attainable": False})
    model = MODEL.model_copy(update={"review": review, "unknown": unknown})
    assert "too few images" in put_in_words(answer(Decision.REVIEW), model).meaning
    assert "unlike what I was taught" in put_in_words(answer(Decision.REVIEW, score=3.0), model).meaning
    assert "At most" not in put_in_words(answer(Decision.UNKNOWN, score=3.0), model).promise


def test_what_a_model_cannot_do_is_told_before_it_is_asked() -> None:
    assert introduce(MODEL).endswith("knows 2 classes. What is none of them, it should call unknown.")
    assert tell_limits(MODEL) == ()
    review = MODEL.review.model_copy(update={"attainable": False})
    unknown = MODEL.unknown.model_copy(update={"attainable": False})
    poor = MODEL.model_copy(update={"review": review, "unknown": unknown})
    assert introduce(poor).endswith("reef version 3 knows 2 classes.")
    never, always = tell_limits(poor)
    assert "never says that it does not know" in never
    assert "Every answer of this model is for a person to check" in always


def test_known_pictures_called_unknown_are_promised_of_strangers_and_look_alikes_together() -> None:
    assert "at most 5% unknown by mistake." in tell_promises(MODEL)
    stranger = MODEL.unknown.model_copy(update={"alpha": 0.02})
    both = tell_promises(MODEL.model_copy(update={"stranger": stranger}))
    assert "at most 7% unknown by mistake: 2% as strangers, 5% as look-alikes." in both
    open_end = MODEL.model_copy(update={"stranger": stranger.model_copy(update={"attainable": False})})
    assert "at most 5% unknown by mistake as look-alikes." in tell_promises(open_end)


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.0, "under 0.1%"),
        (0.0004, "under 0.1%"),
        (0.123, "12.3%"),
        (0.9996, "over 99.9%"),
        (1.0, "over 99.9%"),
    ],
)
def test_no_share_is_rounded_to_certainty(share: float, shown: str) -> None:
    assert show_share(share) == shown


def test_signs_of_markdown_latex_and_directives_are_escaped() -> None:
    assert escape_markdown("a_b $x$ :red[y] <b>") == r"a\_b \$x\$ \:red\[y\] \<b\>"
    assert escape_markdown("Zebra é 12") == "Zebra é 12"

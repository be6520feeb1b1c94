"""The decision rule, called by evaluation, the parity test and the service.

An image is `unknown` if its stranger score or its unknown score is above its threshold (score > value), else
`review` if its calibrated confidence is below the review value (confidence < value), else `accept`. A score
or confidence that equals its threshold exactly keeps the milder answer. A threshold of unknown score or
confidence whose promise is not attainable answers `review` and says so. Outputs that are not finite are
refused, never answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vision.base.errors import TaxonError
from vision.base.outputs import Forward
from vision.base.record import FloatArray, ImageArray, IntArray
from vision.base.softmax import softmax
from vision.base.wording import count_of
from vision.data.quality import measure_quality
from vision.decision.prediction_sets import find_sets
from vision.decision.records import (
    Decision,
    DecisionRule,
    OodDetector,
    Prediction,
    ReviewThreshold,
    UnknownKind,
    UnknownThreshold,
)
from vision.decision.scores import p_values, score_unknown
from vision.decision.strangers import measure_strangers

STRANGER_WORDS = "not a picture of the kind it was taught"
"""Why an image is unknown that is a stranger."""


@dataclass(frozen=True, eq=False)
class Decisions:
    """The answers for n images, column by column.

    Attributes:
        decisions: (n,) str, values of `Decision`; comparing with a `Decision` gives a mask.
        classes: (n,) int64, index of the most probable class.
        probs: (n, k) float64, calibrated probabilities.
        confidence: (n,) float64, largest calibrated probability.
        scores: (n,) float64, unknown scores, higher is more unknown.
        p_values: (n,) float64, share of calibration images at least this unknown.
        strangers: (n,) bool, pictures of another kind than all that was taught; they are all unknown.
    """

    decisions: NDArray[np.str_]
    classes: IntArray
    probs: FloatArray
    confidence: FloatArray
    scores: FloatArray
    p_values: FloatArray
    strangers: NDArray[np.bool_]

    @property
    def accepted(self) -> NDArray[np.bool_]:
        """(n,) mask of the images that are accepted."""
        return np.asarray(self.decisions == Decision.ACCEPT.value)

    @property
    def reviewed(self) -> NDArray[np.bool_]:
        """(n,) mask of the images that go to a person."""
        return np.asarray(self.decisions == Decision.REVIEW.value)

    @property
    def called_unknown(self) -> NDArray[np.bool_]:
        """(n,) mask of the images that are called unknown."""
        return np.asarray(self.decisions == Decision.UNKNOWN.value)


class Inference(NamedTuple):
    """Everything that was found of n images on the way to their answers; `quality` is (n, q)."""

    forward: Forward
    quality: FloatArray
    decisions: Decisions


@dataclass(frozen=True, eq=False)
class Predictor:
    """Images, uint8 (n, s, s, 3), to answers, for whatever network `forward` runs.

    `measure` gives their quality columns (n, q).
    """

    rule: DecisionRule
    detector: OodDetector
    forward: Callable[[ImageArray], Forward]
    measure: Callable[[ImageArray], FloatArray] = measure_quality

    def run(self, images: ImageArray) -> Inference:
        """The network's outputs, the quality and the decisions for uint8 images (n, s, s, 3).

        Raises:
            TaxonError: the network gave values that are not finite.
            ValueError: the images are not a uint8 batch of that shape.
        """
        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
            raise ValueError(
                f"Images have shape {images.shape} and type {images.dtype}; expected uint8 (n, s, s, 3). "
                "Use vision.data.images.decode_image."
            )
        forward = self.forward(images)
        quality = self.measure(images)
        decisions = decide(self.rule, self.detector, forward.logits, forward.embeddings, forward.early)
        return Inference(forward, quality, decisions)

    def predict(self, images: ImageArray, top_k: int = 5) -> list[Prediction]:
        """The answer for each of uint8 images (n, s, s, 3), with the `top_k` most probable classes.

        Raises:
            TaxonError: the network gave values that are not finite.
            ValueError: the images are not a uint8 batch of that shape.
        """
        return make_predictions(self.rule, self.run(images).decisions, top_k)


def decide(
    rule: DecisionRule,
    detector: OodDetector,
    logits: FloatArray,
    embeddings: FloatArray,
    early: FloatArray | None = None,
) -> Decisions:
    """Accept, review or unknown for n images.

    Logits (n, k) are not divided by the temperature, embeddings are (n, d), early statistics (n, e), needed
    where the rule tells strangers.

    Raises:
        TaxonError: a logit, embedding or early value is not finite.
        ValueError: the number of logits is not that of the class names, or the detector and the threshold
            are of different scores.
    """
    _check_rule(rule, detector, logits)
    strangers = None
    if rule.stranger is not None and early is not None:
        strangers = measure_strangers(detector.arrays, early)
    return decide_scored(rule, logits, score_unknown(detector, logits, embeddings), strangers)


def decide_scored(
    rule: DecisionRule, logits: FloatArray, scores: FloatArray, stranger_scores: FloatArray | None = None
) -> Decisions:
    """The same for images whose unknown and stranger scores (n,) are known already.

    Raises:
        ValueError: the rule tells strangers and there are no stranger scores.
    """
    strangers = np.zeros(len(scores), bool)
    if rule.stranger is not None:
        if stranger_scores is None:
            raise ValueError(
                "The rule tells strangers, and no early statistics were given; expected (n, e). The rule and "
                "the network are not of one bundle."
            )
        strangers = np.asarray(stranger_scores > rule.stranger.value)
    probs = softmax(logits, rule.temperature.value)
    confidence = probs.max(axis=1)
    return Decisions(
        decisions=_decide_each(rule, scores, confidence, strangers),
        strangers=strangers,
        classes=np.asarray(logits).argmax(axis=1).astype(np.int64),
        probs=probs,
        confidence=confidence,
        scores=scores,
        p_values=p_values(rule.unknown, scores),
    )


def make_predictions(rule: DecisionRule, decisions: Decisions, top_k: int = 5) -> list[Prediction]:
    """The columns of `decisions` as one `Prediction` per image, with reasons in words."""
    ranked = np.argsort(-decisions.probs, axis=1, kind="stable")
    order, sets = ranked[:, :top_k], find_sets(rule, decisions.probs)
    return [
        Prediction(
            decision=Decision(str(decisions.decisions[i])),
            class_name=rule.class_names[int(decisions.classes[i])],
            confidence=float(decisions.confidence[i]),
            top_k=tuple((rule.class_names[j], float(decisions.probs[i, j])) for j in order[i]),
            unknown_score=float(decisions.scores[i]),
            unknown_threshold=rule.unknown.value,
            p_value=float(decisions.p_values[i]),
            reasons=(STRANGER_WORDS,)
            if decisions.strangers[i]
            else state_reasons(rule, float(decisions.scores[i]), float(decisions.confidence[i])),
            unknown_kind=_tell_kind(decisions, i),
            possible=None
            if sets is None or decisions.called_unknown[i]
            else tuple(rule.class_names[j] for j in ranked[i] if sets[i, j]),
        )
        for i in range(len(decisions.decisions))
    ]


def state_reasons(rule: DecisionRule, score: float, confidence: float) -> tuple[str, ...]:
    """Why an image with this unknown score and calibrated confidence is answered as it is."""
    unknown, review = rule.unknown, rule.review
    unlike, doubtful = score > unknown.value, confidence < review.value
    reasons = []
    if unlike:
        reasons.append(
            "unlike the known classes: score {} above {}".format(*_tell_apart(score, unknown.value))
        )
    if unlike and not unknown.attainable:
        reasons.append(_describe_unknown_promise(unknown))
    if not unlike or not unknown.attainable:
        if doubtful and review.attainable:
            reasons.append("confidence {} below {}".format(*_tell_apart(confidence, review.value)))
        if not review.attainable:
            reasons.append(_describe_review_promise(review))
    if not reasons:
        reasons.append(
            "like the known classes: score {} within {}".format(*_tell_apart(score, unknown.value))
        )
        reasons.append("confidence {} at least {}".format(*_tell_apart(confidence, review.value)))
    return tuple(reasons)


def _tell_kind(decisions: Decisions, i: int) -> UnknownKind | None:
    if decisions.strangers[i]:
        return UnknownKind.STRANGER
    return UnknownKind.LOOK_ALIKE if decisions.called_unknown[i] else None


def _decide_each(
    rule: DecisionRule, scores: FloatArray, confidence: FloatArray, strangers: NDArray[np.bool_]
) -> NDArray[np.str_]:
    unlike = scores > rule.unknown.value
    review = confidence < rule.review.value
    if not rule.review.attainable:
        review = np.ones_like(review)
    if not rule.unknown.attainable:
        review, unlike = review | unlike, np.zeros_like(unlike)
    chosen = np.where(review, Decision.REVIEW.value, Decision.ACCEPT.value)
    return np.where(unlike | strangers, Decision.UNKNOWN.value, chosen).astype(np.str_)


def _check_rule(rule: DecisionRule, detector: OodDetector, logits: FloatArray) -> None:
    if logits.ndim != 2 or logits.shape[1] != len(rule.class_names):
        raise ValueError(
            f"Logits have shape {logits.shape}; expected (n, {len(rule.class_names)}), one column for "
            f"each of {', '.join(rule.class_names)}. The rule and the network are not of one bundle."
        )
    if detector.score_name != rule.unknown.score_name:
        raise ValueError(
            f"The threshold is of score {rule.unknown.score_name!r}, the detector gives "
            f"{detector.score_name!r}; expected one score. Fit the threshold on this detector's scores."
        )
    if np.isnan([rule.unknown.value, rule.review.value]).any():
        raise TaxonError(
            f"Thresholds are {rule.unknown.value} (unknown) and {rule.review.value} (review); expected "
            "numbers, because nothing compares with NaN. Fit the rule again."
        )


def _describe_unknown_promise(unknown: UnknownThreshold) -> str:
    counted = f"{count_of(unknown.num_images, 'image')} in {count_of(unknown.num_groups, 'group')}"
    return (
        f"no threshold keeps the promise of at most {unknown.alpha:.3g} known images called "
        f"unknown: {counted} can promise {unknown.attainable_alpha:.3g}"
    )


def _describe_review_promise(review: ReviewThreshold) -> str:
    counted = f"{count_of(review.num_images, 'image')} in {count_of(review.num_groups, 'group')}"
    return (
        f"no confidence keeps the promise of at most {review.target_risk:.3g} wrong among the accepted: "
        f"{counted}: too few, or too often wrong"
    )


def _tell_apart(value: float, limit: float) -> tuple[str, str]:
    """Both numbers with as few digits (two at least) as show that they differ."""
    for digits in range(2, 9):
        pair = f"{value:.{digits}f}", f"{limit:.{digits}f}"
        if value == limit or pair[0] != pair[1]:
            return pair
    return repr(value), repr(limit)

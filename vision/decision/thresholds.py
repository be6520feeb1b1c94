"""Fits the thresholds of the decision rule on held-out known images."""

from __future__ import annotations

from vision.base.softmax import softmax
from vision.config.decision import ReviewSettings, UnknownSettings
from vision.decision.held_out import HeldOut
from vision.decision.prediction_sets import fit_set_threshold
from vision.decision.records import DecisionRule, Temperature
from vision.decision.scores import OodScore
from vision.decision.selective import fit_review
from vision.decision.unknown_threshold import fit_stranger_threshold, fit_threshold


def fit_rule(
    known: HeldOut,
    class_names: tuple[str, ...],
    temperature: Temperature,
    unknowns: UnknownSettings,
    review: ReviewSettings,
) -> DecisionRule:
    """The decision rule for a network: what is unknown, what of the rest needs a person, what is in a set.

    Only held-out images that are `for_rule` are used. Classes are in label order.
    """
    known = known.for_fitting()
    scores = known.scores[OodScore(unknowns.score)]
    unknown = fit_threshold(scores, known.groups, unknowns)
    stranger, is_unknown = None, scores > unknown.value
    if known.stranger_scores is not None:
        stranger = fit_stranger_threshold(known.stranger_scores, known.groups, unknowns)
        is_unknown = is_unknown | (known.stranger_scores > stranger.value)
    probs = softmax(known.logits, temperature.value)
    review_threshold = fit_review(
        probs.max(axis=1),
        probs.argmax(axis=1) == known.labels,
        is_unknown,
        known.groups,
        review,
    )
    return DecisionRule(
        class_names=class_names,
        temperature=temperature,
        unknown=unknown,
        review=review_threshold,
        stranger=stranger,
        prediction_set=fit_set_threshold(probs, known.labels, known.groups, unknowns),
    )

"""The two thresholds of the decision rule come from known calibration images alone."""

from __future__ import annotations

from vision.base.softmax import softmax
from vision.config.decision import ReviewSettings, UnknownSettings
from vision.data.labelled import Labelled
from vision.decision.records import DecisionRule, OodDetector, Temperature
from vision.decision.scores import score_unknown
from vision.decision.selective import fit_review
from vision.decision.unknown_threshold import fit_threshold


def fit_rule(
    known: Labelled,
    class_names: tuple[str, ...],
    temperature: Temperature,
    detector: OodDetector,
    unknowns: UnknownSettings,
    review: ReviewSettings,
) -> DecisionRule:
    """The decision rule for a network: first what is unknown, then what of the rest needs a person.

    Args:
        known: calibration images of known classes, (m,) of everything.
        class_names: the k known classes in label order.
        temperature: divides the logits before confidence is read.
        detector: gives the unknown score.
        unknowns: promise about known images called unknown.
        review: promise about wrong images among the accepted.
    """
    outputs = known.outputs
    scores = score_unknown(detector, outputs.logits, outputs.embeddings, outputs.quality)
    unknown = fit_threshold(scores, known.groups, unknowns)
    probs = softmax(outputs.logits, temperature.value)
    review_threshold = fit_review(
        probs.max(axis=1),
        probs.argmax(axis=1) == known.labels,
        scores > unknown.value,
        known.groups,
        review,
    )
    return DecisionRule(
        class_names=class_names, temperature=temperature, unknown=unknown, review=review_threshold
    )

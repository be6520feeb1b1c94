"""Several views of one picture: what their mean says where a person decides anyway.

The rule's thresholds were fitted on the picture as it is, so its promise holds for that answer alone.
Accepted and unknown pictures keep it; a picture for review is told by the mean over the views, and an
accepted one whose mean names another class goes to review.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vision.base.errors import ConfigError
from vision.base.outputs import Forward
from vision.base.record import FloatArray, ImageArray
from vision.base.softmax import softmax
from vision.data.views import MOST_VIEWS, make_views
from vision.decision.records import Decision, DecisionRule, Prediction


def check_views(num: int) -> None:
    """Refuse a number of views that there is not.

    Raises:
        ConfigError: it is not 1 to 8.
    """
    if not 1 <= num <= MOST_VIEWS:
        raise ConfigError(f"--tta is {num}. Expected 2 to {MOST_VIEWS} views of each picture (1: as it is).")


def average_views(
    images: ImageArray,
    first: FloatArray,
    forward: Callable[[ImageArray], Forward],
    num: int,
    temperature: float,
) -> FloatArray:
    """Mean probabilities (n, k) over `num` views of images (n, s, s, 3), calibrated.

    `first` (n, k) are those of the images as they are.
    """
    others = [softmax(forward(view).logits, temperature) for view in make_views(images, num)[1:]]
    return np.asarray(np.mean([first, *others], axis=0))


def tell_by_views(
    rule: DecisionRule, predictions: Sequence[Prediction], probs: FloatArray, num: int, top_k: int
) -> list[Prediction]:
    """The answers, told by the mean over `num` views (n, k) where no promise is touched."""
    return [_tell(rule, *each, num, top_k) for each in zip(predictions, probs, strict=True)]


def _tell(rule: DecisionRule, plain: Prediction, probs: FloatArray, num: int, top_k: int) -> Prediction:
    order = np.argsort(-probs, kind="stable")[:top_k]
    named = rule.class_names[int(order[0])]
    agrees = plain.decision is Decision.ACCEPT and named == plain.class_name
    if plain.decision is Decision.UNKNOWN:
        return plain
    if agrees:
        agreed = f"{num} views name it too; the figures are of the picture as it is"
        return plain.model_copy(update={"reasons": (*plain.reasons, agreed)})
    reasons = tuple(f"the picture as it is: {each}" for each in plain.reasons)
    if plain.decision is Decision.ACCEPT:
        reasons = (f"{num} views of it name {named}, the picture as it is {plain.class_name}",)
    return plain.model_copy(
        update={
            "decision": Decision.REVIEW,
            "class_name": named,
            "confidence": float(probs[order[0]]),
            "top_k": tuple((rule.class_names[j], float(probs[j])) for j in order),
            "possible": None,  # the set was promised of the picture as it is
            "reasons": (*reasons, f"class and confidence: mean of {num} views"),
        }
    )

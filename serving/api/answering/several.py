"""Several pictures of one individual as one: the mean of their log-probabilities and unknown scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vision.base.wording import count_of
from vision.decision.predictor import Inference, decide_scored, make_predictions
from vision.decision.records import DecisionRule, Prediction


def combine(rule: DecisionRule, found: Sequence[Inference], top_k: int) -> Prediction:
    """The answer for pictures of one individual, each of which was found alone.

    Pictures of another kind than all that was taught are left out, unless all are.

    Args:
        rule: of the model, which promises for one picture at a time.
        found: of one picture each.
        top_k: most probable classes that are told.
    """
    told = [each for each in found if not each.decisions.strangers[0]]
    all_strange = not told
    told = told or list(found)
    # divided by the temperature and normalised, the mean of logits is that of log-probabilities
    logits = np.mean([each.forward.logits[0] for each in told], axis=0, keepdims=True)
    score = np.mean([each.decisions.scores[0] for each in told], keepdims=True)
    strange = None if rule.stranger is None else np.array([np.inf if all_strange else -np.inf])
    prediction = make_predictions(rule, decide_scored(rule, logits, score, strange), top_k)[0]
    num = count_of(len(told), "picture")
    said = f"the mean of the log-probabilities of {num}; the promise is for one at a time"
    if len(told) < len(found):
        said += f"; left out, as not of the kind it was taught: {len(found) - len(told)}"
    return prediction.model_copy(update={"reasons": (*prediction.reasons, said)})

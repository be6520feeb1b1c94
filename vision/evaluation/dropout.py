"""Monte Carlo dropout (Gal and Ghahramani 2016): how much a network disagrees with itself."""

from __future__ import annotations

import numpy as np

from vision.base.outputs import ModelOutputs
from vision.base.record import FloatArray
from vision.base.softmax import softmax

SCORE_NAME = "mc_dropout"
PASSES = 20


def measure_disagreement(outputs: ModelOutputs, rate: float, seed: int, passes: int = PASSES) -> FloatArray:
    """Mutual information of answer and dropout (m,) in nats, at least 0; higher is less sure.

    Dropout sits between the embedding and the last layer, so that the passes need no image and no network:
    each drops other entries of the embeddings and reads them with the layer's weights. `rate` is above 0; the
    same entries are dropped for every image of a pass.
    """
    rng = np.random.default_rng(seed)
    total = np.zeros(outputs.logits.shape)
    single = np.zeros(len(outputs.logits))
    for _ in range(passes):
        dropped = np.asarray(rng.random(outputs.embeddings.shape[1]) < rate)
        kernel = np.where(dropped[:, None], 0.0, outputs.kernel / (1.0 - rate))
        probs = softmax(outputs.embeddings @ kernel + outputs.bias)
        total += probs
        single += _entropy(probs)
    return np.maximum(_entropy(total / passes) - single / passes, 0.0)


def _entropy(probs: FloatArray) -> FloatArray:
    values: FloatArray = -(probs * np.log(np.maximum(probs, np.finfo(np.float64).tiny))).sum(axis=1)
    return values

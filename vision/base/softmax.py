"""Softmax of logits and the negative log likelihood of labels under it, in nats."""

from __future__ import annotations

import numpy as np

from vision.base.errors import DataError
from vision.base.record import FloatArray, IntArray


def log_softmax(logits: FloatArray, temperature: float = 1.0) -> FloatArray:
    """Log-probabilities (n, k) float64 of logits divided by `temperature` > 0; stable for large logits."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    shifted = scaled - scaled.max(axis=-1, keepdims=True)
    log_probs: FloatArray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return log_probs


def softmax(logits: FloatArray, temperature: float = 1.0) -> FloatArray:
    """Probabilities (n, k) float64 of logits divided by `temperature` > 0."""
    probs: FloatArray = np.exp(log_softmax(logits, temperature))
    return probs


def nll_per_image(logits: FloatArray, labels: IntArray, temperature: float = 1.0) -> FloatArray:
    """Negative log-likelihood of the true class of each image, (n,) nats."""
    losses: FloatArray = -log_softmax(logits, temperature)[np.arange(len(labels)), labels]
    return losses


def nll(logits: FloatArray, labels: IntArray, temperature: float = 1.0) -> float:
    """Mean negative log-likelihood in nats; DataError if there is no image."""
    require_images(len(labels), "NLL")
    return float(nll_per_image(logits, labels, temperature).mean())


def require_images(num: int, what: str) -> None:
    """Raise DataError if a figure is asked for without any image."""
    if num == 0:
        raise DataError(f"{what} was asked for without any image. Expected at least one; check the split.")

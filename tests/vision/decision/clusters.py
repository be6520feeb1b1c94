"""Embeddings of classes around their means, for tests of unknown scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from vision.base.outputs import ModelOutputs
from vision.base.record import FloatArray, IntArray
from vision.decision.fitting import fit_detector
from vision.decision.records import OodDetector
from vision.decision.scores import OodScore, score_unknown

NUM_QUALITY = 3


class Clusters:
    """Embeddings of k classes around their means, seen by a head that points at the means."""

    def __init__(self, k: int = 3, d: int = 8, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.means = self.rng.normal(size=(k, d)) * 2
        self.kernel = self.means.T.astype(np.float32)
        self.bias = (-0.5 * (self.means**2).sum(axis=1)).astype(np.float32)

    def outputs(self, embeddings: FloatArray, quality: FloatArray | None = None) -> ModelOutputs:
        rows = embeddings.astype(np.float32)
        if quality is None:
            quality = self.rng.normal(size=(len(rows), NUM_QUALITY))
        return ModelOutputs(
            rows=np.arange(len(rows)),
            logits=rows @ self.kernel + self.bias,
            embeddings=rows,
            quality=quality.astype(np.float32),
            kernel=self.kernel,
            bias=self.bias,
        )

    def known(self, num: int) -> tuple[ModelOutputs, IntArray]:
        labels = np.arange(num) % len(self.means)
        return self.outputs(self.means[labels] + self.rng.normal(size=(num, self.means.shape[1]))), labels

    def fit(self, num: int = 120, score: str = "fwk", **changes: Any) -> OodDetector:
        train, labels = self.known(num)
        validation, _ = self.known(60)
        groups = np.array([f"g{i}" for i in range(num)])
        arguments: dict[str, Any] = {
            "train": train,
            "train_labels": labels,
            "train_groups": groups,
            "validation": validation,
            "score": score,
            "seed": 0,
        }
        return fit_detector(**(arguments | changes))


def score(detector: OodDetector, outputs: ModelOutputs, name: OodScore | None = None) -> FloatArray:
    return score_unknown(detector, outputs.logits, outputs.embeddings, name)

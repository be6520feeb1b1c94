"""Known images as they are answered by a head and a detector that were fitted without them.

Temperature and thresholds are fitted on these values, so that they hold for images that are new. Where the
backbone is frozen, every known image outside test is held out once, by folds
(`vision.decision.cross_fitting`). A fine-tuned backbone has seen its training images, so there the validation
and calibration splits stand in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vision.base.outputs import ArrayValue, ModelOutputs
from vision.base.record import FloatArray, IntArray
from vision.data.labelled import Labelled, at_rows
from vision.data.records import Splits
from vision.decision.scores import OodScore

SCORE_PREFIX = "score."
"""Before the names of scores in the stored file."""

_PLAIN = ("rows", "logits", "labels", "groups", "for_rule")


@dataclass(frozen=True, eq=False)
class HeldOut(ArrayValue):
    """What is said of m known images by a model that was fitted without them.

    Attributes:
        rows: (m,) int64, row numbers in the data set, ascending.
        logits: (m, k) float32, not divided by a temperature.
        labels: (m,) int64.
        groups: (m,) str.
        for_rule: (m,) bool, whether temperature and thresholds are fitted on the image.
        scores: unknown scores by name, (m,) float64 each: the deciding one and maximum softmax.
        stranger_scores: (m,) float64; None of a network without early statistics.
    """

    rows: IntArray
    logits: FloatArray
    labels: IntArray
    groups: NDArray[np.str_]
    for_rule: NDArray[np.bool_]
    scores: dict[OodScore, FloatArray]
    stranger_scores: FloatArray | None = None

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays, each score as one more."""
        arrays = {name: getattr(self, name) for name in _PLAIN}
        if self.stranger_scores is not None:
            arrays["stranger_scores"] = self.stranger_scores
        return arrays | {f"{SCORE_PREFIX}{name}": values for name, values in self.scores.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The value again."""
        names = [name for name in OodScore if f"{SCORE_PREFIX}{name}" in arrays]
        scores = {name: arrays[f"{SCORE_PREFIX}{name}"] for name in names}
        plain = {name: arrays[name] for name in _PLAIN}
        return cls(**plain, scores=scores, stranger_scores=arrays.get("stranger_scores"))

    def describe(self) -> dict[str, int | str]:
        """Images, and how many of them the rule is fitted on."""
        return {"num_images": len(self.rows), "num_for_rule": int(self.for_rule.sum())}

    def take(self, chosen: NDArray[Any]) -> HeldOut:
        """Some of the images, by positions or by a mask (m,)."""
        scores = {name: values[chosen] for name, values in self.scores.items()}
        strangers = None if self.stranger_scores is None else self.stranger_scores[chosen]
        plain = {name: getattr(self, name)[chosen] for name in _PLAIN}
        return HeldOut(**plain, scores=scores, stranger_scores=strangers)

    def for_fitting(self) -> HeldOut:
        """The images that temperature and thresholds are fitted on."""
        return self.take(self.for_rule)

    def at(self, rows: IntArray) -> HeldOut:
        """Those of some data-set rows that are held out."""
        return self.take(np.isin(self.rows, rows))

    def label(self, outputs: ModelOutputs, splits: Splits) -> Labelled:
        """The images with their truth: `outputs` of the same network, with these logits."""
        known = at_rows(outputs, splits, self.rows)
        return replace(known, outputs=replace(known.outputs, logits=self.logits))

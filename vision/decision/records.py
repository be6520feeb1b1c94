"""Records of the decision: temperature, unknown score, thresholds, and the answer for one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vision.base.outputs import ArrayValue
from vision.base.record import Interval, Record, Value

ARRAY_PREFIX = "array."
"""Before the names of a detector's arrays in the stored file, so that none is taken for another field."""


class Decision(StrEnum):
    """What the service answers; `unknown` outranks `review` outranks `accept`."""

    ACCEPT = "accept"
    REVIEW = "review"
    UNKNOWN = "unknown"


class UnknownKind(StrEnum):
    """Why an image is unknown: nothing of the kind that was taught, or like it, but of no known class."""

    STRANGER = "stranger"
    LOOK_ALIKE = "look_alike"


class Temperature(Record):
    """Temperature > 0 that divides logits (Guo et al. 2017), and the evidence for it."""

    value: float = Field(gt=0, description="nearest 1 of those that cannot be told from the best")
    applied: bool = Field(description="False: value is 1")
    fitted_value: float = Field(gt=0, description="of least loss on the calibration images")
    nll_before: float
    nll_after: float
    gain: Interval = Field(description="out-of-fold NLL gain, bootstrap over groups")
    num_images: int
    num_groups: int
    accuracy: Interval | None = Field(
        default=None, description="share of these images named right; None of older records"
    )


@dataclass(frozen=True, eq=False)
class OodDetector(ArrayValue):
    """Arrays and names that turn outputs into unknown scores; fitted by `vision.decision.fitting`."""

    score_name: str
    arrays: dict[str, NDArray[Any]]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays, and the score's name as one more."""
        arrays = {f"{ARRAY_PREFIX}{name}": array for name, array in self.arrays.items()}
        return arrays | {"score_name": np.array(self.score_name)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The detector again."""
        own = {k.removeprefix(ARRAY_PREFIX): v for k, v in arrays.items() if k != "score_name"}
        return cls(score_name=str(arrays["score_name"]), arrays=own)

    def describe(self) -> dict[str, int | str]:
        """The deciding score and the size of what it needs."""
        num_bytes = sum(array.nbytes for array in self.arrays.values())
        return {"score_name": self.score_name, "num_arrays": len(self.arrays), "num_bytes": num_bytes}


class AlphaRung(Value):
    """What one promise about known images called unknown would give."""

    alpha: float
    attainable: bool
    value: float = Field(
        description="score above which an image is unknown; the largest score if unattainable"
    )
    share: float = Field(description="share of held-out known images above it")


class RiskRung(Value):
    """What one promise about wrong images among the accepted would give."""

    target_risk: float
    attainable: bool
    value: float = Field(description="least confidence accepted; above 1 if unattainable")
    coverage: float = Field(description="share of held-out known images accepted")
    risk: float = Field(description="share wrong among them")
    risk_bound: float


class UnknownThreshold(Record):
    """Score above which an image is called unknown, with the promise on known images behind it.

    Counts are of the held-out images that it was fitted on.
    """

    score_name: str
    value: float = Field(description="unknown if score > value; +inf never occurs: unattainable says so")
    attainable: bool
    alpha: float = Field(description="promised largest share of known images called unknown")
    delta: float = Field(description="probability that the promise is broken")
    num_images: int
    num_groups: int
    design_effect: float
    effective_size: float
    num_allowed: int = Field(description="calibration images above the threshold")
    attainable_alpha: float = Field(description="smallest alpha that this many images could promise")
    calibration_scores: tuple[float, ...] = Field(description="ascending; gives p-values")
    found: bool = Field(default=False, description="alpha was chosen from the ladder, not configured")
    ladder: tuple[AlphaRung, ...] = Field(default=(), description="what other promises would give")


USEFUL_COVERAGE = 0.4
"""Share of the known images that a rung of the ladder should accept; the strictest that does is promised."""


class ReviewThreshold(Record):
    """Calibrated confidence below which a known-looking image goes to a person."""

    value: float = Field(description="review if confidence < value")
    attainable: bool
    target_risk: float = Field(description="promised largest share of wrong among the accepted")
    delta: float
    coverage: float = Field(description="share of calibration images accepted")
    risk: float = Field(description="share wrong among the accepted on calibration")
    risk_bound: float
    num_images: int
    num_groups: int
    design_effect: float
    found: bool = Field(default=False, description="target_risk was chosen from the ladder, not configured")
    ladder: tuple[RiskRung, ...] = Field(default=(), description="what other promises would give")
    num_needed: int | None = Field(
        default=None,
        description="unattainable: images, with errors and groups as seen, that would carry the promise; "
        "None if no number of them would",
    )


class DecisionRule(Record):
    """Accept, review or unknown: everything the rule needs but the detector's arrays."""

    class_names: tuple[str, ...]
    temperature: Temperature
    unknown: UnknownThreshold
    review: ReviewThreshold
    stranger: UnknownThreshold | None = Field(
        default=None, description="of the stranger score; None of rules made before there was one"
    )
    prediction_set: UnknownThreshold | None = Field(
        default=None,
        description="of 1 - probability: classes above it are not in the set; None of rules made before",
    )


class Prediction(Value):
    """The answer for one image."""

    decision: Decision
    class_name: str
    confidence: float = Field(description="calibrated probability of the class")
    top_k: tuple[tuple[str, float], ...]
    unknown_score: float
    unknown_threshold: float
    p_value: float = Field(description="share of calibration images at least this unknown; (r+1)/(n+1)")
    reasons: tuple[str, ...]
    unknown_kind: UnknownKind | None = Field(default=None, description="of an unknown image; else None")
    possible: tuple[str, ...] | None = Field(
        default=None, description="prediction set, most probable first; None: unknown, or nothing is promised"
    )


class WeakClass(Value):
    """A known class of which most test images were named wrong."""

    class_name: str
    num_right: int
    num_images: int

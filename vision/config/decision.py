"""Which promises the decision rule makes. `auto` takes the strictest that the images at hand can carry."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vision.config.base import AutoFraction, OpenFraction, Settings

AUTO: Literal["auto"] = "auto"


class UnknownSettings(Settings):
    """The unknown score and its promise: at most `alpha` of known images are called unknown.

    `alpha: auto` is the strictest of 5, 10 and 20% that leaves a useful threshold.
    """

    score: Literal[
        "ewk", "fwk", "msp", "entropy", "energy", "mahalanobis", "knn", "vim", "fdbd", "whitened_prototype"
    ] = "ewk"
    alpha: AutoFraction = AUTO
    delta: OpenFraction = Field(default=0.05, description="probability that the promise is broken")
    num_far: int = Field(default=200, ge=20, le=5000, description="far unknowns of each kind that are made")


class ReviewSettings(Settings):
    """The promise on accepted answers: at most `target_risk` of them are wrong.

    `target_risk: auto` is the strictest of 1, 2, 5, 10, 15 and 20% at which a useful share is accepted.
    """

    target_risk: AutoFraction = AUTO
    delta: OpenFraction = 0.1

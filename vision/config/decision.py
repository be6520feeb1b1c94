"""Which promises the decision rule makes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vision.config.base import OpenFraction, Settings


class UnknownSettings(Settings):
    """The unknown score and its promise: at most `alpha` of known images are called unknown."""

    score: Literal[
        "ewk", "fwk", "msp", "entropy", "energy", "mahalanobis", "knn", "vim", "fdbd", "whitened_prototype"
    ] = "ewk"
    alpha: OpenFraction = 0.05
    delta: OpenFraction = Field(default=0.05, description="probability that the promise is broken")
    num_far: int = Field(default=200, ge=20, le=5000, description="far unknowns of each kind that are made")


class ReviewSettings(Settings):
    """The promise on accepted answers: at most `target_risk` of them are wrong."""

    target_risk: OpenFraction = 0.02
    delta: OpenFraction = 0.1

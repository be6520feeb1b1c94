"""How results are measured and compared."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vision.config.base import OpenFraction, Settings


class BootstrapSettings(Settings):
    """How intervals are made: groups are resampled."""

    resamples: int = Field(default=1000, ge=100, le=100_000)
    level: OpenFraction = 0.95


class ComparisonSettings(Settings):
    """How the winner is chosen on validation."""

    metric: Literal["accuracy", "macro_f1", "nll"] = "accuracy"


class EvaluationSettings(Settings):
    """What is measured on test beside the answers that are served."""

    tta: bool = Field(
        default=False,
        description="what the mean over views of a picture, and over all candidates, gains and costs",
    )
    views: int = Field(default=4, ge=2, le=8, description="of a picture: as it is, mirrored, shifted")

"""When a window of answers is judged, and how sure a verdict is."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from vision.config.base import PositiveFloat, Settings
from vision.config.evaluation import BootstrapSettings


class DriftSettings(Settings):
    """When a window of answers is judged, and how sure a verdict is."""

    window: int = Field(default=200, ge=50, le=100_000, description="newest answers that are judged together")
    min_images: int = Field(default=100, ge=50, description="fewer are insufficient")
    min_groups: int = Field(default=15, ge=10, description="fewer are insufficient, in the reference too")
    alpha: float = Field(
        default=0.01, gt=0.0, le=0.05, description="each of the four tests fires at a p-value of at most this"
    )
    permutations: int = Field(default=999, ge=99, le=9_999, description="of groups, for each p-value")
    burst_gap_seconds: PositiveFloat = Field(
        default=300.0,
        le=86_400.0,
        description="answers to one client without a group belong together until it pauses for longer",
    )
    max_images: int = Field(
        default=2_000, ge=200, le=5_000, description="of a longer window, frames and then groups are drawn"
    )
    bootstrap: BootstrapSettings = BootstrapSettings()

    @model_validator(mode="after")
    def _permutations_reach_alpha(self) -> Self:
        if self.alpha * (self.permutations + 1) < 1.0:
            raise ValueError(
                f"{self.permutations} permutations give no p-value below {1 / (self.permutations + 1):.2g}; "
                f"alpha is {self.alpha}. Raise permutations"
            )
        return self

    @model_validator(mode="after")
    def _window_reaches_its_minimum(self) -> Self:
        if self.window < self.min_images:
            raise ValueError(
                f"window {self.window} is below min_images {self.min_images}: no window would be judged. "
                "Raise window"
            )
        return self

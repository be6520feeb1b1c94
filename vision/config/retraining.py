"""What starts a retraining, and how often one may start by itself."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from vision.config.base import PositiveFloat, Settings
from vision.config.data import Additions


class RetrainingSettings(Settings):
    """What asks for a retraining, and how often one may start by itself."""

    force: bool = Field(default=False, description="retrain whatever speaks against it, pause and budget too")
    new_images: Additions = Field(
        default=(), description="folders that are added to dataset.additions when a retraining is decided"
    )
    forget: tuple[str, ...] = Field(
        default=(),
        description="names of additions that the champion learned from and that no training is to use again",
    )
    min_new_images: int = Field(default=100, ge=1, description="known images that the champion has not seen")
    min_new_groups: int = Field(default=20, ge=1, description="groups of which it has seen no image")
    min_new_images_on_drift: int = Field(default=30, ge=1, description="the same once a drift is confirmed")
    min_new_groups_on_drift: int = Field(default=10, ge=1, description="the same once a drift is confirmed")
    max_verdict_age_days: PositiveFloat = Field(
        default=30.0, le=3660, description="since the end of a window; older drift verdicts do not count"
    )
    max_age_days: PositiveFloat | None = Field(
        default=180.0,
        le=36_500,
        description="since the last training of the champion, or against it; null: never",
    )
    cool_down_hours: float = Field(
        default=24.0, ge=0.0, le=8784, description="pause after any retraining before one starts by itself"
    )
    budget: int = Field(default=4, ge=0, le=1000, description="retrainings by themselves in budget_days")
    budget_days: PositiveFloat = Field(default=30.0, le=3660)

    @model_validator(mode="after")
    def _drift_asks_for_no_more(self) -> Self:
        for noun in ("images", "groups"):
            always, on_drift = getattr(self, f"min_new_{noun}"), getattr(self, f"min_new_{noun}_on_drift")
            if on_drift > always:
                raise ValueError(
                    f"min_new_{noun}_on_drift is {on_drift}; expected at most min_new_{noun}, {always}"
                )
        return self

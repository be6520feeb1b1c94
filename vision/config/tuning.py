"""What a search of training settings varies, and for how long."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from vision.config.augment import POLICIES
from vision.config.base import PositiveFloat, Settings
from vision.config.training import Strategy


def _find_policy(name: str) -> str:
    if name not in POLICIES:
        raise ValueError(f"no such policy {name!r}; expected some of {', '.join(POLICIES)}")
    return name


class SpaceSettings(Settings):
    """What is varied; what a strategy does not read is left alone with it."""

    learning_rate: tuple[PositiveFloat, PositiveFloat] = Field(
        default=(3e-5, 1e-2), description="lowest and highest peak, drawn on a logarithmic scale"
    )
    strategies: tuple[Strategy, ...] = Field(
        default=(), description="those to choose from; none named: the candidate's own"
    )
    augment: tuple[Annotated[str, AfterValidator(_find_policy)], ...] = Field(
        default=("light", "standard", "randaugment"), min_length=1, description="policies to choose from"
    )
    dropout: tuple[float, float] = Field(default=(0.0, 0.5), description="lowest and highest")

    @model_validator(mode="after")
    def _ranges_ascend(self) -> Self:
        for name in ("learning_rate", "dropout"):
            low, high = getattr(self, name)
            if not 0 <= low <= high < 1:
                raise ValueError(
                    f"{name} is [{low:g}, {high:g}]; expected lowest, highest, from 0 to below 1"
                )
        return self


class TuningSettings(Settings):
    """A search over the settings of one candidate; the lowest NLL on validation wins."""

    candidate: str | None = Field(
        default=None, description="whose settings; none: the first that is trained by epochs"
    )
    trials: int = Field(default=20, ge=2, le=10_000, description="in all, those of a stopped search counted")
    minutes: PositiveFloat | None = Field(default=None, description="no trial starts later")
    space: SpaceSettings = SpaceSettings()

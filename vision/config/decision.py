"""Which promises the decision rule makes; `auto` takes the strictest that there are enough images for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from vision.config.base import AutoFraction, OpenFraction, Settings

AUTO: Literal["auto"] = "auto"

FAR_KINDS = ("noise", "blank", "letters", "textures", "photographs")
"""Pictures of no class with which every model is tested."""


class StrangerFolder(Settings):
    """A folder of pictures of other things, which test the model. In YAML a path alone is enough."""

    path: Path
    digest: str = Field(default="", description="of its images; filled in before the pipeline starts")

    @model_validator(mode="before")
    @classmethod
    def _take_a_path_alone(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str | Path) else value

    @property
    def name(self) -> str:
        """What reports call its images."""
        return self.path.name


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
    stranger_alpha: OpenFraction = Field(
        default=0.02, description="promised largest share of known images called strangers"
    )
    strangers: tuple[StrangerFolder, ...] = Field(
        default=(), description="folders of pictures of other things, with which the model is tested as well"
    )

    @model_validator(mode="after")
    def _strangers_have_names_of_their_own(self) -> Self:
        names = [each.name for each in self.strangers]
        taken = sorted({name for name in names if not name or names.count(name) > 1 or name in FAR_KINDS})
        if taken:
            raise ValueError(
                f"the last part of a path in strangers names its pictures in reports; {', '.join(taken)!r} "
                f"is empty, given twice or one of {', '.join(FAR_KINDS)}; rename the folder"
            )
        return self

    def for_rule(self) -> UnknownSettings:
        """The settings that a rule is fitted by: without the folders that only test it."""
        return self.model_copy(update={"strangers": ()})


class ReviewSettings(Settings):
    """The promise on accepted answers: at most `target_risk` of them are wrong.

    `target_risk: auto` is the strictest of 1, 2, 5, 10, 15 and 20% at which a useful share is accepted.
    """

    target_risk: AutoFraction = AUTO
    delta: OpenFraction = 0.1

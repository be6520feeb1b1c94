"""Random changes of training images: single strengths, or a policy by its name."""

from __future__ import annotations

import difflib
from typing import Any, Self

from pydantic import Field, model_validator

from vision.config.base import Fraction, Settings

_STILL = {"translation": 0.0, "rotation_degrees": 0.0, "zoom": 0.0, "brightness": 0.0, "contrast": 0.0}

POLICIES: dict[str, dict[str, Any]] = {
    "none": {"flip": False, **_STILL},
    "light": {**_STILL, "translation": 0.05},
    "standard": {},
    "randaugment": {**_STILL, "randaugment": 2},
    "mixup": {"mixup": 0.2},
    "cutmix": {"cutmix": 1.0},
}
"""What each policy sets; everything else is as by default, which is `standard`."""


class AugmentSettings(Settings):
    """Random changes of training images: a policy's name, or a mapping. All 0 or False: none.

    In YAML `augment: light` alone is enough; `augment: {policy: light, zoom: 0.2}` changes one thing of it.
    """

    flip: bool = True
    translation: Fraction = Field(default=0.08, description="largest shift, share of the side")
    rotation_degrees: float = Field(default=10.0, ge=0.0, le=180.0)
    zoom: Fraction = 0.1
    brightness: Fraction = Field(default=0.15, description="largest change, share of the range")
    contrast: Fraction = 0.15
    hue: Fraction = Field(default=0.0, description="largest change, share of the colour circle's half")
    saturation: Fraction = Field(default=0.0, description="largest change, 1 takes all colour")
    cutout: Fraction = Field(default=0.0, description="side of a square that is blanked, share of the side")
    randaugment: int = Field(default=0, ge=0, le=5, description="operations drawn for each batch")
    randaugment_strength: Fraction = Field(default=0.3, description="1 is the paper's largest, 30 of 30")
    mixup: float = Field(
        default=0.0, ge=0.0, le=10.0, description="alpha of the Beta that mixes two images, 0 for none"
    )
    cutmix: float = Field(
        default=0.0, ge=0.0, le=10.0, description="alpha of the Beta for the area put in, 0 for none"
    )

    @model_validator(mode="before")
    @classmethod
    def _take_a_policy(cls, value: Any) -> Any:
        named = value if isinstance(value, str) else value.get("policy") if isinstance(value, dict) else None
        if named is None:
            return value
        if named not in POLICIES:
            near = difflib.get_close_matches(str(named), POLICIES, n=1)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise ValueError(f"no such policy {named!r}{hint} Expected one of {', '.join(POLICIES)}")
        given = value if isinstance(value, dict) else {}
        return POLICIES[named] | {name: each for name, each in given.items() if name != "policy"}

    @model_validator(mode="after")
    def _images_are_mixed_one_way(self) -> Self:
        if self.mixup and self.cutmix:
            raise ValueError(
                f"mixup is {self.mixup:g} and cutmix {self.cutmix:g}; images are mixed one way: set one to 0"
            )
        return self


NOTHING = AugmentSettings.model_validate("none")

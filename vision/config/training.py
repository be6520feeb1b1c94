"""Which networks are trained, and how."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Self

from pydantic import Field, field_validator, model_validator

from vision.config.base import Fraction, PositiveFloat, Settings


class BackboneName(StrEnum):
    """Networks that can be trained."""

    CNN = "cnn"
    CNN_RESIDUAL = "cnn_residual"
    MOBILENET_V2 = "mobilenet_v2"
    EFFICIENTNET_B0 = "efficientnet_b0"


class Strategy(StrEnum):
    """Which part of a backbone is trained."""

    FROZEN = "frozen"
    PARTIAL = "partial"
    FULL = "full"
    TWO_PHASE = "two_phase"


class AugmentSettings(Settings):
    """Random changes of training images. All 0 or False: none."""

    flip: bool = True
    translation: Fraction = Field(default=0.08, description="largest shift, share of the side")
    rotation_degrees: float = Field(default=10.0, ge=0.0, le=180.0)
    zoom: Fraction = 0.1
    brightness: Fraction = Field(default=0.15, description="largest change, share of the range")
    contrast: Fraction = 0.15


UNREAD: dict[Strategy, tuple[str, ...]] = {
    Strategy.FROZEN: (
        "epochs",
        "batch_size",
        "learning_rate",
        "weight_decay",
        "label_smoothing",
        "patience",
        "augment",
        "mixed_precision",
    ),
    Strategy.PARTIAL: ("head_regularisation", "augment", "mixed_precision"),
    Strategy.FULL: ("head_regularisation",),
    Strategy.TWO_PHASE: (),
}
"""Settings of a candidate that a strategy does not read."""


class CandidateSettings(Settings):
    """One network to train and compare."""

    backbone: BackboneName
    strategy: Strategy = Strategy.FULL
    weights: str = Field(default="none", description="imagenet, none, auto, or a path of no_top weights")
    weights_digest: str | None = Field(
        default=None, description="SHA-256 of the weights file; filled in before the pipeline starts"
    )
    width: PositiveFloat = Field(
        default=1.0,
        le=4.0,
        description="multiplies the channels of cnn (64-128-256-512), cnn_residual "
        "(32-64-128-256) and mobilenet_v2 (its alpha)",
    )
    dropout: float = Field(default=0.2, ge=0.0, lt=1.0, allow_inf_nan=False)
    epochs: int = Field(default=20, ge=1, le=1000)
    batch_size: int = Field(default=32, ge=2, le=1024)
    learning_rate: float = Field(default=1e-3, gt=0.0, le=1.0, allow_inf_nan=False)
    weight_decay: float = Field(default=1e-4, ge=0.0, le=1.0, allow_inf_nan=False)
    head_regularisation: tuple[PositiveFloat, ...] = Field(
        default=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3),
        min_length=1,
        description="frozen: inverse L2 strengths of which grouped cross-validated NLL chooses one",
    )
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0, allow_inf_nan=False)
    patience: int = Field(default=6, ge=1, description="epochs without a better validation loss")
    augment: AugmentSettings = AugmentSettings()
    mixed_precision: bool = Field(
        default=False,
        description="full, two_phase: train in float16 where it is safe; filled in before the pipeline "
        "starts where a GPU is found, unless it is given",
    )

    @model_validator(mode="after")
    def _settings_are_read(self) -> Self:
        """Only values other than the default count, so that settings that are written come back."""
        fields = type(self).model_fields
        unread = [name for name in UNREAD[self.strategy] if getattr(self, name) != fields[name].default]
        if unread:
            raise ValueError(f"strategy {self.strategy} does not read {', '.join(unread)}; remove this")
        if self.backbone is BackboneName.EFFICIENTNET_B0 and self.width != 1.0:
            raise ValueError(f"efficientnet_b0 has one width, 1.0; got {self.width}")
        return self

    @model_validator(mode="after")
    def _weights_fit_the_backbone(self) -> Self:
        own = self.backbone in (BackboneName.CNN, BackboneName.CNN_RESIDUAL)
        if own and self.weights != "none":
            raise ValueError(
                f"{self.backbone} is trained from scratch; weights is {self.weights!r}, expected 'none'"
            )
        if self.weights == "none" and self.weights_digest is not None:
            raise ValueError(
                "weights_digest is given, but weights is 'none', which has no file to check; remove it (the "
                "program fills it in)"
            )
        if self.strategy is not Strategy.FULL and self.weights == "none":
            raise ValueError(
                f"strategy {self.strategy} with weights 'none' would keep random features fixed; "
                "use strategy full, or weights imagenet, auto or a path"
            )
        if self.backbone is BackboneName.MOBILENET_V2 and self.width not in (0.35, 0.5, 0.75, 1.0, 1.3, 1.4):
            raise ValueError(f"mobilenet_v2 has widths 0.35, 0.5, 0.75, 1.0, 1.3 and 1.4; got {self.width}")
        return self


class TrainingSettings(Settings):
    """The candidates, by a name of your own."""

    candidates: dict[str, CandidateSettings] = Field(min_length=1)

    @field_validator("candidates")
    @classmethod
    def _names_are_plain(cls, value: dict[str, CandidateSettings]) -> dict[str, CandidateSettings]:
        for name in value:
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
                raise ValueError(f"candidate name {name!r}: expected lower-case letters, digits and _")
            if name in ("exported", "test"):
                raise ValueError(f"candidate name {name!r} is taken by steps of the pipeline; choose another")
        return value

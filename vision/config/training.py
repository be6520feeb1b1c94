"""Which networks are trained, and how."""

from __future__ import annotations

import difflib
import re
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from vision.backbones import BACKBONES
from vision.config.augment import AugmentSettings
from vision.config.base import Fraction, PositiveFloat, Settings


def _find_backbone(name: str) -> str:
    if name not in BACKBONES:
        near = difflib.get_close_matches(name, BACKBONES, n=1)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise ValueError(f"no such backbone{hint} Expected one of {', '.join(BACKBONES)}")
    return name


BackboneName = Annotated[str, AfterValidator(_find_backbone)]
"""Name of a network in `vision.backbones`."""


class Strategy(StrEnum):
    """Which part of a backbone is trained."""

    FROZEN = "frozen"
    PARTIAL = "partial"
    PROGRESSIVE = "progressive"
    FULL = "full"
    TWO_PHASE = "two_phase"


UNREAD: dict[Strategy, tuple[str, ...]] = {
    Strategy.FROZEN: (
        "epochs",
        "batch_size",
        "learning_rate",
        "weight_decay",
        "label_smoothing",
        "loss",
        "focal_gamma",
        "schedule",
        "warm_up",
        "clip_norm",
        "weight_averaging",
        "distil_from",
        "distil_temperature",
        "distil_weight",
        "patience",
        "augment",
        "mixed_precision",
        "jit",
        "devices",
    ),
    Strategy.PARTIAL: ("head_regularisation", "augment", "mixed_precision"),
    Strategy.PROGRESSIVE: (),
    Strategy.FULL: ("head_regularisation",),
    Strategy.TWO_PHASE: (),
}
"""Settings of a candidate that a strategy does not read."""


FRESH_RATE = 1e-3
"""Default peak learning rate of weights that are not pretrained."""


CHAMPION = "champion"
"""As a teacher: the model that is in production."""


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
        description="multiplies the channels; what that is, the backbone says",
    )
    dropout: float = Field(default=0.2, ge=0.0, lt=1.0, allow_inf_nan=False)
    epochs: int = Field(default=20, ge=1, le=1000)
    batch_size: int = Field(default=32, ge=2, le=1024)
    learning_rate: float | None = Field(
        default=None,
        gt=0.0,
        le=1.0,
        allow_inf_nan=False,
        description="peak; none: the backbone's own for all its pretrained weights, else 0.001",
    )
    weight_decay: float = Field(default=1e-4, ge=0.0, le=1.0, allow_inf_nan=False)
    head_regularisation: tuple[PositiveFloat, ...] = Field(
        default=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3),
        min_length=1,
        description="frozen: inverse L2 strengths of which grouped cross-validated NLL chooses one",
    )
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0, allow_inf_nan=False)
    loss: Literal["cross_entropy", "focal"] = Field(
        default="cross_entropy", description="focal: images that are already right count less"
    )
    focal_gamma: PositiveFloat = Field(default=2.0, le=10.0, description="focal: how much less")
    balance: Literal["auto", "weights", "none"] = Field(
        default="auto",
        description="weights: every class counts alike; auto: only where the largest class has more than "
        "three times the images of the smallest",
    )
    schedule: Literal["cosine", "plateau"] = Field(
        default="cosine",
        description="cosine: warm-up, then down to 0; plateau: a third after every third epoch without a "
        "better validation loss",
    )
    warm_up: Fraction = Field(default=0.1, description="cosine: share of the steps until the peak")
    clip_norm: PositiveFloat | None = Field(
        default=None, description="largest norm of the gradient of all weights together; none: no bound"
    )
    weight_averaging: float = Field(
        default=0.0,
        ge=0.0,
        lt=1.0,
        allow_inf_nan=False,
        description="share of the running mean that stays at every step, 0.99 for example; what is judged "
        "and kept is that mean; 0: none",
    )
    distil_from: str | None = Field(
        default=None, description="teacher: another candidate, or champion, the model in production"
    )
    distil_temperature: PositiveFloat = Field(default=2.0, le=100.0, description="softens both sides")
    distil_weight: Fraction = Field(default=0.5, description="of the teacher; the labels have the rest")
    patience: int = Field(default=6, ge=1, description="epochs without a better validation loss")
    augment: AugmentSettings = AugmentSettings()
    mixed_precision: bool = Field(
        default=False,
        description="full, progressive, two_phase: train in float16 where it is safe; filled in before the "
        "pipeline starts where a GPU is found, unless it is given",
    )
    jit: bool = Field(
        default=False, description="compile the training step with XLA; on a CPU it does not pay"
    )
    devices: Literal["all", "one"] = Field(
        default="all", description="all GPUs of the machine share each batch, or one trains alone"
    )

    @property
    def peak_learning_rate(self) -> float:
        """The learning rate after the warm-up, named or by default."""
        if self.learning_rate is not None:
            return self.learning_rate
        fine_tuned = self.weights != "none" and self.strategy is not Strategy.PARTIAL
        return BACKBONES[self.backbone].fine_tuning_rate if fine_tuned else FRESH_RATE

    @model_validator(mode="after")
    def _settings_are_read(self) -> Self:
        """Only values other than the default count, so that settings that are written come back."""
        fields = type(self).model_fields
        unread = [name for name in UNREAD[self.strategy] if getattr(self, name) != fields[name].default]
        if unread:
            raise ValueError(f"strategy {self.strategy} does not read {', '.join(unread)}; remove this")
        widths = BACKBONES[self.backbone].widths
        if widths is not None and self.width not in widths:
            listed = ", ".join(str(each) for each in widths)
            raise ValueError(f"{self.backbone} has the widths {listed}; got {self.width}")
        return self

    @model_validator(mode="after")
    def _choices_read_their_settings(self) -> Self:
        for name, reader, chosen in (
            ("focal_gamma", "loss: focal", self.loss == "focal"),
            ("warm_up", "schedule: cosine", self.schedule == "cosine"),
            ("distil_temperature", "distil_from: TEACHER", self.distil_from is not None),
            ("distil_weight", "distil_from: TEACHER", self.distil_from is not None),
        ):
            if not chosen and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} is read by {reader} alone; remove it or set {reader}")
        return self

    @model_validator(mode="after")
    def _weights_fit_the_backbone(self) -> Self:
        backbone = BACKBONES[self.backbone]
        if backbone.weights is None and self.weights != "none":
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
        if self.strategy is Strategy.PARTIAL and backbone.cut is None:
            raise ValueError(f"{self.backbone} has no part to keep; use another strategy than partial")
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
            if name in ("exported", "test", CHAMPION):
                raise ValueError(f"candidate name {name!r} is taken by steps of the pipeline; choose another")
        return value

    @model_validator(mode="after")
    def _teachers_are_candidates(self) -> Self:
        for name, each in self.candidates.items():
            teacher = each.distil_from
            if teacher in (None, CHAMPION):
                continue
            others = [other for other in self.candidates if other != name]
            if teacher not in others:
                raise ValueError(
                    f"{name}.distil_from is {teacher!r}; expected {CHAMPION} or another candidate "
                    f"({', '.join(others) or 'there is none'})"
                )
            if self.candidates[teacher].distil_from is not None:
                raise ValueError(
                    f"{name}.distil_from is {teacher!r}, which has a teacher itself; name that one instead"
                )
        return self

    def in_order(self) -> dict[str, CandidateSettings]:
        """The candidates, teachers before their students."""
        students = {name: each for name, each in self.candidates.items() if each.distil_from}
        return {n: each for n, each in self.candidates.items() if n not in students} | students

    def dropouts(self) -> dict[str, float]:
        """Rate of each candidate whose last layer is trained with dropout; a frozen one's is not."""
        return {
            name: each.dropout
            for name, each in self.candidates.items()
            if each.dropout and each.strategy is not Strategy.FROZEN
        }

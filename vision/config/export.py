"""Which graphs are exported, and which of them is served."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, field_validator, model_validator

from vision.config.base import Fraction, Settings


class Precision(StrEnum):
    """Numeric form of the weights of an exported graph."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


class ToleranceSettings(Settings):
    """How far an exported precision may stray from the trained model on validation."""

    decision_disagreement: Fraction = 0.05
    mean_probability_difference: Fraction = 0.01
    max_probability_difference: Fraction = 0.25
    ece_difference: Fraction = 0.02
    unknown_auroc_difference: Fraction = 0.02


class GraphSettings(Settings):
    """What the exported graphs are made from."""

    precisions: tuple[Precision, ...] = (Precision.FP32, Precision.FP16, Precision.INT8)
    num_calibration_images: int = Field(default=128, ge=16, description="training images for int8 ranges")

    @field_validator("precisions")
    @classmethod
    def _precisions_differ(cls, value: tuple[Precision, ...]) -> tuple[Precision, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"a precision is named twice ({', '.join(value)}); expected each once")
        return value


class ExportSettings(GraphSettings):
    """What is exported and which precision is served."""

    precision: Precision = Field(default=Precision.FP16, description="served; named before it is measured")
    tolerance: ToleranceSettings = ToleranceSettings()

    def graphs(self) -> GraphSettings:
        """What the graphs depend on, without what is done with them."""
        return GraphSettings(precisions=self.precisions, num_calibration_images=self.num_calibration_images)

    @model_validator(mode="after")
    def _served_precision_is_exported(self) -> Self:
        if self.precision not in self.precisions:
            listed = ", ".join(self.precisions)
            raise ValueError(f"precision {self.precision} is not among the exported precisions ({listed})")
        return self

"""Which graphs are exported, and which of them is served."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from vision.config.base import Fraction, Settings


class Precision(StrEnum):
    """An exported graph: TFLite with weights as fp32, fp16 or int8, or ONNX, not served."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"
    ONNX = "onnx"


class PrecisionChoice(StrEnum):
    """The precision to serve; `auto` and `fastest` leave it to the measurement."""

    AUTO = "auto"
    FASTEST = "fastest"
    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


AUTO_ORDER = (Precision.FP16, Precision.FP32)
"""What `auto` exports; the first that keeps to the tolerance is served."""

FASTER = 0.9
"""Largest share of their time in which int8 must answer to be served for its speed."""


MOST_SIMILAR = 1_000_000_000
"""More images of a class than any data set has."""


def _all_or_number(value: Any) -> Any:
    number = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_SIMILAR
    if value != "all" and not number:
        raise ValueError("expected all, or a whole number of images, 0 for none")
    return value


class ToleranceSettings(Settings):
    """How far an exported precision may stray from the trained model on validation.

    A difference is beyond it if its lower bound is; what chance could make of few images is not counted.
    """

    decision_disagreement: Fraction = 0.05
    mean_probability_difference: Fraction = 0.01
    max_probability_difference: Fraction = 0.25
    ece_difference: Fraction = 0.02
    unknown_auroc_difference: Fraction = 0.02


class GraphSettings(Settings):
    """What the exported graphs are made from."""

    precisions: tuple[Precision, ...]
    num_calibration_images: int = Field(default=128, ge=16, description="training images for int8 ranges")


class ExportSettings(Settings):
    """Which precision is served, and which others are exported to be measured beside it."""

    precision: PrecisionChoice = Field(
        default=PrecisionChoice.AUTO,
        description="served; auto: fp16 if it keeps to the tolerance, else fp32; fastest: int8 if it "
        "keeps to the tolerance and answers in 10% less time here than what auto serves",
    )
    precisions: tuple[Precision, ...] = Field(default=(), description="further ones to export and measure")
    onnx: bool = Field(
        default=False,
        description="also model.onnx, to take away; needs requirements-extras.txt",
    )
    num_calibration_images: int = Field(default=128, ge=16, description="training images for int8 ranges")
    tolerance: ToleranceSettings = ToleranceSettings()
    similar: Annotated[int | Literal["all"], BeforeValidator(_all_or_number)] = Field(
        default=50,
        description="known images of a class kept with the model, to be shown as like another; 0: none",
    )

    @property
    def similar_per_class(self) -> int:
        """Most known images of a class that are kept."""
        return MOST_SIMILAR if self.similar == "all" else self.similar

    @property
    def automatic(self) -> bool:
        """Whether measurement chooses what is served."""
        return self.precision in (PrecisionChoice.AUTO, PrecisionChoice.FASTEST)

    def graphs(self) -> GraphSettings:
        """What the graphs depend on, without what is done with them."""
        wanted = {*self.precisions, *(AUTO_ORDER if self.automatic else (Precision(self.precision),))}
        if self.precision is PrecisionChoice.FASTEST:
            wanted.add(Precision.INT8)
        if self.onnx:
            wanted.add(Precision.ONNX)
        return GraphSettings(
            precisions=tuple(each for each in Precision if each in wanted),
            num_calibration_images=self.num_calibration_images,
        )

    @field_validator("precisions")
    @classmethod
    def _precisions_differ(cls, value: tuple[Precision, ...]) -> tuple[Precision, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"a precision is named twice ({', '.join(value)}); expected each once")
        if Precision.ONNX in value:
            raise ValueError("onnx is no precision of TFLite; write export: {onnx: true}")
        return value

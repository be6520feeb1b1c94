"""How results are measured, compared, exported and gated: the promises."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from vision.config.base import Fraction, OpenFraction, Settings
from vision.records import Precision


class BootstrapSettings(Settings):
    """How intervals are made: groups are resampled."""

    resamples: int = Field(default=1000, ge=100, le=100_000)
    level: OpenFraction = 0.95


class UnknownSettings(Settings):
    """The unknown score and its promise: at most `alpha` of known images are called unknown."""

    score: Literal[
        "ewk", "fwk", "msp", "entropy", "energy", "mahalanobis", "knn", "vim", "fdbd", "whitened_prototype"
    ] = "ewk"
    alpha: OpenFraction = 0.05
    delta: OpenFraction = Field(default=0.05, description="probability that the promise is broken")
    num_far: int = Field(default=200, ge=20, le=5000, description="far unknowns of each kind that are made")


class ReviewSettings(Settings):
    """The promise on accepted answers: at most `target_risk` of them are wrong."""

    target_risk: OpenFraction = 0.02
    delta: OpenFraction = 0.1


class ComparisonSettings(Settings):
    """How the winner is chosen on validation."""

    metric: Literal["accuracy", "macro_f1", "nll"] = "accuracy"


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


class GateSettings(Settings):
    """What a challenger must show: floors, by the unfavourable end of an interval on test, and the duel."""

    min_accuracy: Fraction = 0.5
    min_gain_over_majority: Fraction = Field(default=0.05, description="accuracy above the majority class")
    min_gain_over_pixels: Fraction = Field(
        default=0.0, description="accuracy above logistic regression on raw 32x32 pixels"
    )
    max_known_called_unknown: Fraction = Field(default=0.2, description="upper bound on test")
    min_test_groups: int = Field(default=10, ge=2, le=100_000, description="fewer groups are no evidence")
    max_loss_on_original: Fraction = Field(
        default=0.01,
        description="accuracy that a challenger may lose on the champion's own test groups without counting "
        "as worse",
    )
    loss_per_gain: Fraction = Field(
        default=0.05,
        description="what may be lost there beyond that, for each unit of accuracy that is gained beyond "
        "doubt on the other test images",
    )
    sure_from: OpenFraction = Field(
        default=0.9, description="calibrated confidence from which the champion's word weighs against a label"
    )
    ordinary_from: Fraction = Field(
        default=0.2, description="p-value from which a new image looks ordinary to the champion"
    )
    max_contradicted: Fraction = Field(
        default=0.2,
        description="share of groups of new images, in all or of a class, whose labels a sure champion may "
        "contradict; the lower bound decides; 1 once a person has seen that the labels are right",
    )

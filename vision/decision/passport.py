"""What is known of a model from its test images, short enough to travel in its bundle."""

from __future__ import annotations

from pydantic import Field

from vision.base.record import Value


class ClassFigures(Value):
    """How one known class was answered on test; None where no image was of it, or none was named so."""

    class_name: str
    num_images: int
    num_groups: int
    recall: float | None = Field(default=None, description="share of its images that were named right")
    precision: float | None = Field(default=None, description="share right of the images that got its name")


class KindFigures(Value):
    """What images of one kind were answered on test, as shares."""

    kind: str = Field(description="known, near (held-out classes) or far (pictures of something else)")
    num_images: int
    accept: float
    review: float
    unknown: float
    wrong_among_accepted: float | None = Field(default=None, description="of known images; None: none is")


class PromiseFigures(Value):
    """What a promise about wrong images among the accepted would have done to known test images."""

    target_risk: float
    attainable: bool
    accepted: float
    wrong: float | None = Field(default=None, description="share among these; None: none is accepted")


class Passport(Value):
    """A model on test images: figures of the graph that is served, by the rule that is served."""

    accuracy: float = Field(description="to be expected of new images of known classes")
    accuracy_low: float | None = Field(default=None, description="of its interval; None: of one group alone")
    accuracy_high: float | None = None
    num_images: int = Field(description="that the accuracy rests on")
    num_groups: int
    classes: tuple[ClassFigures, ...] = Field(description="as the model counts them")
    kinds: tuple[KindFigures, ...]
    promises: tuple[PromiseFigures, ...] = Field(description="the strictest first")
    unknown_auroc: dict[str, float] = Field(description="near or far -> AUROC of the score that decides")
    confidence_is_share: bool | None = Field(
        default=None, description="whether confidence was off by no more than chance allows; None: not told"
    )
    decision_agreement: float | None = Field(
        default=None, description="share of validation images that the graph decides as the trained network"
    )

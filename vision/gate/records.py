"""Records of the gate: its checks and its verdict."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from vision.base.record import Record, Value
from vision.evaluation.records import Difference


class Verdict(StrEnum):
    """What the gate says of a challenger."""

    PROMOTED = "promoted"
    KEPT = "kept"
    REFUSED = "refused"


class GateCheck(Value):
    """One requirement of the gate."""

    name: str
    passed: bool
    message: str


class Contradiction(Value):
    """A new image whose label the champion, sure of an image that looks ordinary to it, contradicts."""

    row: int = Field(description="data-set row")
    class_name: str = Field(description="as labelled")
    answer: str = Field(description="the class that the champion names")
    confidence: float


class Promotion(Record):
    """The gate's verdict."""

    verdict: Verdict
    bundle_digest: str
    champion_digest: str | None
    checks: tuple[GateCheck, ...]
    reasons: tuple[str, ...]
    differences: tuple[Difference, ...] = ()
    reason: str = Field(default="", description="the verdict's reason in one sentence")
    decides: bool = Field(
        default=True, description="False: it accepts none of the known test images, a person decides all"
    )
    contradictions: tuple[Contradiction, ...] = Field(default=(), description="the surest first, at most 60")


class Registration(Record):
    """Where the model stands in the registry after the run; feeds no step."""

    model_name: str
    version: str | None
    stage: str | None
    bundle_digest: str

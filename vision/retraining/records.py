"""Records of retraining: what speaks for it, and the decision."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime, Field

from vision.base.record import Record, Value
from vision.drift.records import WindowVerdict
from vision.gate.records import Verdict


class Trigger(StrEnum):
    """What asks for a retraining; `forced` outranks `drift` outranks `new_images` outranks `age`."""

    FORCED = "forced"
    DRIFT = "drift"
    NEW_IMAGES = "new_images"
    AGE = "age"
    NONE = "none"


class ChampionState(Value):
    """The champion as the decision on retraining sees it."""

    digest: str = Field(description="of its bundle")
    since: AwareDatetime = Field(description="when it was registered")


class Attempt(Value):
    """A retraining that was started, however it ended."""

    time: AwareDatetime = Field(description="when it was started")
    automatic: bool = Field(description="not forced by a person")
    champion_digest: str | None = Field(description="of the champion that it was to replace")
    source_digest: str = Field(description="of the images that it learned from")
    gate_digest: str = Field(description="of the gate's settings")
    verdict: Verdict | None = Field(description="of the gate; None: it ended before")


class NewClass(Value):
    """What is new of one class."""

    class_name: str
    num_images: int
    num_groups: int


class NewImages(Record):
    """Labelled images of known classes that the champion has not seen, by bytes."""

    num_images: int = 0
    num_groups: int = Field(default=0, description="groups of which the champion has seen no image")
    classes: tuple[NewClass, ...] = Field(default=(), description="only classes with new images, sorted")


class RetrainingEvidence(Value):
    """What a decision on retraining rests on beside the images: all that lies outside the data set."""

    now: AwareDatetime = Field(description="when it is decided")
    champion: ChampionState | None
    verdicts: tuple[WindowVerdict, ...] = Field(default=(), description="of monitoring, in any order")
    attempts: tuple[Attempt, ...] = Field(default=(), description="earlier retrainings, in any order")


class Consideration(Value):
    """One thing that was considered; `speaks_for` a retraining, or does not."""

    name: str
    speaks_for: bool
    message: str


class RetrainDecision(Record):
    """Whether to retrain, and everything that was considered."""

    retrain: bool
    trigger: Trigger = Field(description="what asks for it, even where budget or pause forbid it")
    reasons: tuple[str, ...]
    champion_digest: str | None
    new_images: NewImages
    considered: tuple[Consideration, ...]

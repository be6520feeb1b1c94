"""The bodies of GET /traffic, for clients that have no database."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from serving.api.schemas import Body, LogState, ServedModel
from vision.drift.records import DriftCause, DriftStatus

NUM_CLASSES, NUM_VERDICTS = 10, 10


class TrafficQuery(Body):
    """What may be asked of GET /traffic in its address."""

    hours: int = Field(default=24, ge=1, le=744, description="counted back from now, 1 to 744")


class HourOfTraffic(Body):
    """Answers of one hour by the clock in UTC; of the first and last, those between `since` and `until`."""

    start: AwareDatetime
    accept: int = 0
    review: int = 0
    unknown: int = 0


class ClassCount(Body):
    """How often a class was named."""

    class_name: str
    num_answers: int


class MonitoringVerdict(Body):
    """What monitoring said of a window of answers."""

    time: AwareDatetime = Field(description="when it was said")
    status: DriftStatus = Field(description="insufficient (too few answers), quiet or drift")
    cause: DriftCause | None = Field(default=None, description="of a drift")
    verified: bool = Field(description="false: groups were guessed from time, or seem to be single frames")
    num_answers: int = Field(description="in the window")
    reasons: tuple[str, ...] = Field(description="in words")


class Traffic(Body):
    """Answer to GET /traffic: of the served model in all its versions, by every client."""

    model: ServedModel
    since: AwareDatetime = Field(description="`hours` before `until`, in UTC")
    until: AwareDatetime = Field(description="when it was counted")
    num_answers: int
    accept: int = Field(description="of them, named without a person")
    review: int = Field(description="for a person to look at")
    unknown: int
    stranger: int = Field(description="of the unknown, not a picture of the kind it was taught")
    look_alike: int = Field(description="of the unknown, like what it was taught, but none of it")
    by_hour: tuple[HourOfTraffic, ...] = Field(description="oldest first, hours without answers too")
    classes: tuple[ClassCount, ...] = Field(description=f"the {NUM_CLASSES} named most, most often first")
    p50_ms: float | None = Field(default=None, description="median latency; null without answers")
    p95_ms: float | None = Field(default=None, description="latency that 95% kept to")
    num_lost: int = Field(description="answers that the log did not keep since the service was started")
    log: LogState
    verdicts: tuple[MonitoringVerdict, ...] = Field(
        description="on this version of the model, newest first; none: it was never looked at"
    )

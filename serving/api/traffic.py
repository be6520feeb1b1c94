"""What GET /traffic tells: how much was answered, what and how fast, and what monitoring said of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

from pydantic import AwareDatetime, Field

from serving.api.refusals import not_logged
from serving.api.schemas import Body, LogState, ServedModel
from serving.log.prediction_log import PredictionLog
from serving.log.traffic import LoggedTraffic, count_traffic
from serving.log.verdicts import list_verdicts
from vision.base.errors import LogError
from vision.decision.records import Decision, UnknownKind
from vision.drift.records import DriftCause, DriftStatus

NUM_CLASSES, NUM_VERDICTS = 10, 10


class TrafficQuery(Body):
    """What may be asked of GET /traffic in its address."""

    hours: int = Field(
        default=24, ge=1, le=744, description="hours that are told, that of now among them, 1 to 744"
    )


class HourOfTraffic(Body):
    """Answers of one hour by the clock in UTC."""

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
    since: AwareDatetime = Field(description="start of the first hour, in UTC")
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


def tell_traffic(
    log: PredictionLog, state: LogState, model: ServedModel, num_lost: int, hours: int
) -> Traffic:
    """What the log holds of the last hours.

    Raises:
        ProblemError: the log cannot be read.
    """
    now = datetime.now(UTC)
    since = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours - 1)
    counted, verdicts = LoggedTraffic(), []
    try:
        if log.exists():
            counted = count_traffic(log.reader, model.name, since, NUM_CLASSES)
            verdicts = list_verdicts(log.reader, model.digest, NUM_VERDICTS)
    except LogError as error:
        raise not_logged("the prediction log cannot be read") from error
    decided: Counter[Decision] = Counter()
    kinds: Counter[UnknownKind | None] = Counter()
    for each in counted.counts:
        decided[each.decision] += each.number
        kinds[each.kind] += each.number
    return Traffic(
        model=model,
        since=since,
        until=now,
        num_answers=decided.total(),
        **{each.value: decided[each] for each in Decision},
        **{each.value: kinds[each] for each in UnknownKind},
        by_hour=_list_hours(counted, since, hours),
        classes=tuple(ClassCount(class_name=name, num_answers=number) for name, number in counted.classes),
        p50_ms=counted.p50_ms,
        p95_ms=counted.p95_ms,
        num_lost=num_lost,
        log=state,
        verdicts=tuple(MonitoringVerdict.model_validate(vars(each)) for each in verdicts),
    )


def _list_hours(counted: LoggedTraffic, since: datetime, hours: int) -> tuple[HourOfTraffic, ...]:
    """Every hour; answers that a clock dated ahead are in none."""
    of_hour: defaultdict[datetime, Counter[str]] = defaultdict(Counter)
    for each in counted.counts:
        of_hour[each.hour][each.decision.value] += each.number
    starts = (since + timedelta(hours=number) for number in range(hours))
    return tuple(HourOfTraffic(start=start, **of_hour[start]) for start in starts)

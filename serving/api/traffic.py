"""What GET /traffic tells: how much was answered, what and how fast, and what monitoring said of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

from serving.api.schemas import LogState, ServedModel
from serving.api.traffic_bodies import (
    NUM_CLASSES,
    NUM_VERDICTS,
    ClassCount,
    HourOfTraffic,
    MonitoringVerdict,
    Traffic,
)
from serving.log.prediction_log import PredictionLog
from serving.log.traffic import LoggedTraffic, count_traffic
from serving.log.verdicts import list_verdicts
from vision.decision.records import Decision, UnknownKind


def tell_traffic(
    log: PredictionLog, state: LogState, model: ServedModel, num_lost: int, hours: int
) -> Traffic:
    """What the log holds of the last hours.

    Raises:
        LogError: the log cannot be read.
    """
    now = datetime.now(UTC)
    since = now - timedelta(hours=hours)
    counted, verdicts = LoggedTraffic(), []
    if log.exists():
        counted = count_traffic(log.reader, model.name, since, now, NUM_CLASSES)
        verdicts = list_verdicts(log.reader, model.digest, NUM_VERDICTS)
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
        by_hour=_list_hours(counted, since, now),
        classes=tuple(ClassCount(class_name=name, num_answers=number) for name, number in counted.classes),
        p50_ms=counted.p50_ms,
        p95_ms=counted.p95_ms,
        num_lost=num_lost,
        log=state,
        verdicts=tuple(MonitoringVerdict.model_validate(vars(each)) for each in verdicts),
    )


def _list_hours(counted: LoggedTraffic, since: datetime, until: datetime) -> tuple[HourOfTraffic, ...]:
    """Every hour by the clock; the first and the last count only what lies between the two times."""
    of_hour: defaultdict[datetime, Counter[str]] = defaultdict(Counter)
    for each in counted.counts:
        of_hour[each.hour][each.decision.value] += each.number
    first = since.replace(minute=0, second=0, microsecond=0)
    number = int((until - first) / timedelta(hours=1)) + 1
    starts = (first + timedelta(hours=each) for each in range(number))
    return tuple(HourOfTraffic(start=start, **of_hour[start]) for start in starts)

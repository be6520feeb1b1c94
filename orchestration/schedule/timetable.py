"""When a cron expression fires in a time zone; every moment is aware, what is returned is in UTC.

Changes of the clocks follow Vixie cron, as croniter does: an expression of every hour (hour field `*`) fires
whenever the local clock shows its minute; any other fires once on a night that skips its time (at the jump)
and once on a night that has it twice (the first time).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, CroniterError, croniter

NUM_FIELDS = 5
HOUR_FIELD = 1
EXAMPLE = "'0 3 * * *' (minute, hour, day of month, month, day of week)"


def check_cron(expression: str) -> str:
    """The expression, if it has five fields and fires at some time.

    Seconds and years are refused, because programs disagree on where they stand; so are H and R, which
    croniter draws anew at every look.

    Raises:
        ValueError: it has not, or does not.
    """
    fields = expression.split()
    if len(fields) != NUM_FIELDS:
        raise ValueError(f"a cron expression has {NUM_FIELDS} fields, as in {EXAMPLE}; found {len(fields)}")
    if any(field[0] in "hHrR" for field in fields):
        raise ValueError(f"H and R stand for a random time; expected a fixed one, as in {EXAMPLE}")
    try:
        croniter(expression).get_next()
    except CroniterBadDateError as error:
        raise ValueError("never fires: there is no such date. Change the day or the month") from error
    except CroniterError as error:
        raise ValueError(f"not a cron expression such as {EXAMPLE}: {error}") from error
    return expression


class Timetable:
    """The moments at which a cron expression (see `check_cron`) fires in a time zone."""

    def __init__(self, cron: str, zone: ZoneInfo) -> None:
        self._cron, self._zone = cron, zone

    def next_after(self, moment: datetime) -> datetime:
        """The first time after a moment."""
        return next(each for each in self._times(moment) if each > moment)

    def newest_until(self, moment: datetime, after: datetime) -> datetime | None:
        """The last time in (after, moment], or None: however many were missed, one remains."""
        times = self._times(moment + timedelta(seconds=1), backwards=True)
        newest = next(each for each in times if each <= moment)
        return newest if newest > after else None

    def _times(self, start: datetime, *, backwards: bool = False) -> Iterator[datetime]:
        """Times from `start` on, without the second showing of a local time that a night has twice."""
        times = croniter(self._cron, start.astimezone(self._zone))
        is_hourly = times.expanded[HOUR_FIELD] == ["*"]
        for each in times.all_prev(datetime) if backwards else times.all_next(datetime):
            moment: datetime = each.astimezone(UTC)
            if is_hourly or moment == each.replace(fold=0).astimezone(UTC):
                yield moment

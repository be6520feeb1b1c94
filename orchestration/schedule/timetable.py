"""When a cron expression fires in a time zone; every moment is aware, what is returned is in UTC.

Changes of the clocks follow Vixie cron, as croniter does: an expression of every hour (hour field `*`) fires
whenever the local clock shows its minute; any other fires once on a night that skips its time (at the jump)
and once on a night that has it twice (the first time).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, CroniterError, croniter

NUM_FIELDS = 5
HOUR_FIELD = 1
EXAMPLE = "'0 3 * * *' (minute, hour, day of month, month, day of week)"
_REFERENCE = datetime(2024, 1, 1)
_SECOND = timedelta(seconds=1)


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
        croniter(expression, _REFERENCE).get_next(datetime)
    except CroniterBadDateError as error:
        raise ValueError("never fires: there is no such date. Change the day or the month") from error
    except CroniterError as error:
        raise ValueError(f"not a cron expression such as {EXAMPLE}: {error}") from error
    return expression


class Timetable:
    """The moments at which a cron expression (see `check_cron`) fires in a time zone."""

    def __init__(self, cron: str, zone: ZoneInfo) -> None:
        self._cron = cron
        self._zone = zone
        self._is_hourly = croniter(cron, _REFERENCE).expanded[HOUR_FIELD] == ["*"]

    def next_after(self, moment: datetime) -> datetime:
        """The first time after a moment."""
        times = croniter(self._cron, moment.astimezone(self._zone))
        while True:
            found: datetime = times.get_next(datetime)
            if found > moment and self._counts(found):
                return found.astimezone(UTC)

    def newest_until(self, moment: datetime, after: datetime) -> datetime | None:
        """The last time in (after, moment], or None: however many were missed, one remains."""
        times = croniter(self._cron, (moment.replace(microsecond=0) + _SECOND).astimezone(self._zone))
        while True:
            found: datetime = times.get_prev(datetime)
            if found <= after:
                return None
            if found <= moment and self._counts(found):
                return found.astimezone(UTC)

    def _counts(self, found: datetime) -> bool:
        """Not the second showing of a local time that the night has twice, unless every hour is meant."""
        return self._is_hourly or found.astimezone(UTC) == found.replace(fold=0).astimezone(UTC)

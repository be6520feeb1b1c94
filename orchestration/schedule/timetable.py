"""When a cron expression fires in a time zone: moments in UTC, each once, through every change of the clocks.

Two rules, those of Vixie cron. An expression of every hour (hour field `*`) fires whenever the local clock
shows its minute: it goes on ticking through a repeated hour. Any other fires at the first moment at which the
local clock shows its time or a later one: 02:30 fires once on the night that skips it (at the jump) and once
on the night that has it twice (the first time).

Moments that are passed in and returned are aware; what is returned is in UTC. No clock is read here.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, CroniterError, croniter

NUM_FIELDS = 5
HOUR_FIELD = 1
EXAMPLE = "'0 3 * * *' (minute, hour, day of month, month, day of week)"
_REFERENCE = datetime(2024, 1, 1)
"""Wall time at which the search for a first match starts."""
_TICK = timedelta(microseconds=1)


def check_cron(expression: str) -> str:
    """The expression, if it has five fields and fires at some time.

    Seconds and years are refused: programs disagree on where they stand. So are H and R, by which croniter
    draws a time anew at every look.

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
        self._hourly = croniter(cron, _REFERENCE).expanded[HOUR_FIELD] == ["*"]
        self.next_after = lru_cache(maxsize=64)(self._next_after)

    def newest_until(self, moment: datetime, after: datetime) -> datetime | None:
        """The last time in (after, moment], or None: however many were missed, one remains.

        Found by bisection: `next_after` does not fall as its argument rises.
        """
        if self.next_after(after) > moment:
            return None
        low, high = after, moment
        while high - low > timedelta(minutes=1):
            middle = low + (high - low) / 2
            low, high = (middle, high) if self._next_after(middle) <= moment else (low, middle)
        newest = self._next_after(low)
        while (following := self._next_after(newest)) <= moment:
            newest = following
        return newest

    def _next_after(self, moment: datetime) -> datetime:
        """The first time after a moment."""
        moment = moment.astimezone(UTC)
        return self._next_shown(moment) if self._hourly else self._next_reached(moment)

    def _next_shown(self, moment: datetime) -> datetime:
        """First moment later than `moment` at which the local clock shows a time of the expression."""
        offset, wall = self._offset(moment), self._wall(moment)
        while True:
            found = (self._next_wall(wall) - offset).replace(tzinfo=UTC)
            if self._offset(found) == offset:
                return found
            moment = self._find_change(moment, found)
            offset, wall = self._offset(moment), self._wall(moment) - _TICK

    def _next_reached(self, moment: datetime) -> datetime:
        """First moment later than `moment` at which the local clock reaches a time of the expression."""
        wall = self._wall(moment)
        while True:
            wall = self._next_wall(wall)
            reached = self._first_reached(wall)
            if reached > moment:
                return reached

    def _first_reached(self, wall: datetime) -> datetime:
        """When the local clock first shows `wall`, or jumps over it."""
        local = wall.replace(tzinfo=self._zone)
        reached = local.astimezone(UTC)
        if self._wall(reached) == wall:
            return reached
        # PEP 495: of a time that is skipped, fold 1 lies before the jump and fold 0 after it.
        return self._find_change(local.replace(fold=1).astimezone(UTC), reached)

    def _find_change(self, low: datetime, high: datetime) -> datetime:
        """The second in (low, high] at which the zone leaves the offset that it has at `low`."""
        before = self._offset(low)
        low, high = low.replace(microsecond=0), high.replace(microsecond=0)
        while high - low > timedelta(seconds=1):
            middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
            low, high = (middle, high) if self._offset(middle) == before else (low, middle)
        return high

    def _next_wall(self, wall: datetime) -> datetime:
        found: datetime = croniter(self._cron, wall).get_next(datetime)
        return found

    def _wall(self, moment: datetime) -> datetime:
        return moment.astimezone(self._zone).replace(tzinfo=None, fold=0)

    def _offset(self, moment: datetime) -> timedelta:
        return self._wall(moment) - moment.astimezone(UTC).replace(tzinfo=None)

"""Figures and names as a reader wants them: shares, intervals, sizes, seconds, lists of names."""

from __future__ import annotations

import math
from enum import Enum

from vision.base.record import Interval
from vision.base.wording import NOISE, NOTHING, format_hundred, in_tenths, whole_percent

LONGEST_LIST = 5


def format_value(value: object) -> str:
    """A value as a reader wants it: intervals with bounds, NaN as n/a, collections by their size."""
    match value:
        case Interval():
            return format_interval(value)
        case Enum():
            return str(value.value)
        case None | bool():
            return {True: "yes", False: "no", None: "none"}[value]
        case float():
            return NOTHING if math.isnan(value) else f"{value:.4g}"
        case tuple() | list() | dict():
            return f"{len(value)} entries"
    return str(value)


def format_interval(interval: Interval) -> str:
    """`0.953 (0.931 to 0.972)`; n/a for NaN, bare where too few groups give an interval."""
    if math.isnan(interval.value):
        return NOTHING
    return f"{interval.value:.3f}" if math.isnan(interval.low) else str(interval)


def format_share(value: float) -> str:
    """`95.3%`; `under 0.1%` and `over 99.9%` where it would round to none or to all; n/a for NaN."""
    return NOTHING if math.isnan(value) else f"{in_tenths(value)}%"


def format_range(interval: Interval) -> str:
    """`96.7% (93.7% to 99.7%)`."""
    if math.isnan(interval.low):
        return format_share(interval.value)
    return f"{format_share(interval.value)} ({format_bounds(interval)})"


def format_bounds(interval: Interval) -> str:
    """`93.7% to 99.7%`, rounded outwards as `format_hundred_bounds` rounds."""
    if math.isnan(interval.low):
        return f"{NOTHING} to {NOTHING}"
    low, high = math.floor(1000 * interval.low + NOISE), math.ceil(1000 * interval.high - NOISE)
    return f"{low / 10:.1f}% to {high / 10:.1f}%"


def split_hundred(*shares: float) -> list[str]:
    """Shares that sum to 1 as so many of 100, which sum to 100.

    The first is rounded as `format_hundred` does it; of the others largest remainders are rounded up.
    Shares that `format_hundred` tells with a decimal keep it; shares of another sum are told one by one.
    """
    if not math.isclose(sum(shares), 1, abs_tol=1e-6):  # or NaN
        return [format_hundred(share) for share in shares]
    whole = [math.floor(100 * share + NOISE) for share in shares]
    whole[0] = whole_percent(shares[0])
    order = sorted(range(1, len(shares)), key=lambda place: whole[place] - 100 * shares[place])
    for place in order[: 100 - sum(whole)]:
        whole[place] += 1
    told = [format_hundred(share) for share in shares]
    return [each if "." in each else str(number) for each, number in zip(told, whole, strict=True)]


def format_hundred_bounds(interval: Interval) -> str:
    """`50 to 88`, rounded outwards: no bound is better than it is; empty where there is no interval."""
    if math.isnan(interval.low):
        return ""
    low, high = math.floor(100 * interval.low + NOISE), math.ceil(100 * interval.high - NOISE)
    return f"{low} to {high}"


def format_confidence(confidence: float) -> str:
    """A confidence as a share; close to 1, where thresholds often lie, with more digits."""
    if confidence < 0.995:
        return f"{confidence:.0%}"
    return f"{confidence:.2%}" if confidence < 0.9999 else "over 99.99%"


def format_number(value: float, digits: int = 3) -> str:
    """A figure with some decimals; n/a for NaN."""
    return NOTHING if math.isnan(value) else f"{value:.{digits}f}"


def format_seconds(value: float) -> str:
    """`4.2 s` or `3 min 05 s`."""
    if value < 60:
        return f"{value:.1f} s"
    return f"{int(value // 60)} min {int(value % 60):02d} s"


def format_count(value: int) -> str:
    """`1.23 M`, `457 k` or the figure itself."""
    if value >= 1_000_000:
        return f"{value / 1e6:.2f} M"
    return f"{value / 1e3:.0f} k" if value >= 1000 else str(value)


def format_bytes(num_bytes: int) -> str:
    """`4.2 MB`, decimal units."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= size:
            return f"{num_bytes / size:.1f} {unit}"
    return f"{num_bytes} B"


def plain_name(name: str) -> str:
    """The name of a column, a check or a score with spaces for underscores."""
    return name.replace("_", " ")


def list_names(names: list[str]) -> str:
    """`a, b and c` in plain words; long lists are cut and counted."""
    if len(names) > LONGEST_LIST:
        return f"{', '.join(names[:LONGEST_LIST])} and {len(names) - LONGEST_LIST} more"
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)

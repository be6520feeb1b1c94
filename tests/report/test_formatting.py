"""Figures are written for readers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from report.formatting import (
    format_bounds,
    format_bytes,
    format_confidence,
    format_count,
    format_hundred_bounds,
    format_interval,
    format_range,
    format_seconds,
    format_share,
    list_names,
    split_hundred,
)
from tests.example_data import around
from vision.base.record import Interval
from vision.base.wording import format_hundred

NOT_MEASURED = Interval(value=math.nan, low=math.nan, high=math.nan)


@pytest.mark.parametrize(
    ("write", "value", "written"),
    [
        (format_interval, around(0.5), "0.500 (0.470 to 0.530)"),
        (format_interval, NOT_MEASURED, "n/a"),
        (format_range, around(0.5), "50.0% (47.0% to 53.0%)"),
        (format_share, 0.953, "95.3%"),
        (format_share, math.nan, "n/a"),
        (format_share, 0.0, "0.0%"),
        (format_share, 0.0004, "under 0.1%"),
        (format_share, 0.9996, "over 99.9%"),
        (format_hundred, 0.9996, "over 99.9"),
        (format_hundred, 0.004, "0.4"),
        (format_hundred, 1.0, "100"),
        (format_hundred, 0.625, "63"),
        (format_hundred, 0.825, "83"),
        (format_hundred_bounds, Interval(value=0.7, low=0.506, high=0.872), "50 to 88"),
        (format_hundred_bounds, Interval(value=0.5, low=0.29, high=0.58), "29 to 58"),
        (format_bytes, 999, "999 B"),
        (format_bytes, 2_400_000, "2.4 MB"),
        (format_seconds, 4.24, "4.2 s"),
        (format_seconds, 185.0, "3 min 05 s"),
        (format_count, 456, "456"),
        (format_count, 456_789, "457 k"),
        (format_count, 1_234_567, "1.23 M"),
        (format_confidence, 0.61, "61%"),
        (format_confidence, 0.9949, "99%"),
        (format_confidence, 0.99985, "99.98%"),
        (format_confidence, 1.0, "over 99.99%"),
        (list_names, [], ""),
        (list_names, ["a_b"], "a_b"),
        (list_names, ["a", "b", "c"], "a, b and c"),
        (list_names, list("abcdefg"), "a, b, c, d, e and 2 more"),
    ],
)
def test_values_are_written_for_readers(write: Callable[[Any], str], value: Any, written: str) -> None:
    assert write(value) == written


def test_one_bound_is_one_figure_in_tenths_and_in_whole_percent() -> None:
    interval = Interval(value=0.6, low=0.40004, high=0.8332)
    assert format_bounds(interval) == "40.0% to 83.4%"
    assert format_hundred_bounds(interval) == "40 to 84"


@pytest.mark.parametrize(
    ("shares", "told"),
    [
        ((0.375, 0.613, 0.012), ["38", "61", "1"]),
        ((0.995, 0.003, 0.002), ["99.5", "0.3", "0.2"]),
        ((1.0, 0.0, 0.0), ["100", "0", "0"]),
        ((0.5, float("nan"), 0.0), ["50", "n/a", "0"]),
    ],
)
def test_shares_of_one_whole_sum_to_a_hundred(shares: tuple[float, ...], told: list[str]) -> None:
    assert split_hundred(*shares) == told

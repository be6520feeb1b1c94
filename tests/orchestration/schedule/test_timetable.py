"""When an expression fires, through every change of the clocks."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.schedule.timetable import Timetable, check_cron

BERLIN = ZoneInfo("Europe/Berlin")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
SPRING = datetime(2026, 3, 28, 23, tzinfo=UTC)
AUTUMN = datetime(2026, 10, 24, 22, tzinfo=UTC)


def fires(cron: str, zone: ZoneInfo, start: datetime, hours: float) -> list[str]:
    """Times of a while, as the local clock shows them, with their offset from UTC in hours."""
    table, moment, shown = Timetable(cron, zone), start - timedelta(seconds=1), []
    while (moment := table.next_after(moment)) <= start + timedelta(hours=hours):
        assert moment.tzinfo is UTC
        local = moment.astimezone(zone)
        offset = local.utcoffset()
        assert offset is not None
        shown.append(f"{local:%H:%M}{offset.total_seconds() / 3600:+g}")
    return shown


def test_a_time_that_the_spring_night_skips_fires_once_at_the_jump() -> None:
    assert fires("30 2 * * *", BERLIN, SPRING, 30) == ["03:00+2", "02:30+2"]


def test_a_time_that_the_autumn_night_has_twice_fires_the_first_time_only() -> None:
    assert fires("30 2 * * *", BERLIN, AUTUMN, 30) == ["02:30+2", "02:30+1"]


def test_several_times_in_the_skipped_hour_fire_as_one() -> None:
    assert fires("*/20 2,3 * * *", BERLIN, SPRING, 12) == ["03:00+2", "03:20+2", "03:40+2"]


def test_an_hourly_expression_goes_on_ticking_through_both_changes() -> None:
    assert fires("30 * * * *", BERLIN, SPRING, 4) == ["00:30+1", "01:30+1", "03:30+2", "04:30+2"]
    assert fires("30 * * * *", BERLIN, AUTUMN, 4) == ["00:30+2", "01:30+2", "02:30+2", "02:30+1"]


def test_a_change_of_half_an_hour_is_no_exception() -> None:
    start = datetime(2026, 4, 4, 14, tzinfo=UTC)  # Lord Howe goes from 02:00 (+11) back to 01:30 (+10.5)
    assert fires("45 1 * * *", LORD_HOWE, start, 24) == ["01:45+11"]
    assert fires("45 * * * *", LORD_HOWE, start, 2.5) == ["01:45+11", "01:45+10.5", "02:45+10.5"]


def test_the_newest_time_is_found_in_the_repeated_hour() -> None:
    second_ten_past_two = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)
    found = Timetable("30 2 * * *", BERLIN).newest_until(second_ten_past_two, AUTUMN)
    assert found == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_the_newest_time_lies_after_the_one_and_not_after_the_other() -> None:
    table, three = Timetable("0 3 * * *", ZoneInfo("UTC")), datetime(2026, 5, 1, 3, tzinfo=UTC)
    assert table.newest_until(three, three - timedelta(days=400)) == three
    assert table.newest_until(three, three - timedelta(microseconds=1)) == three
    assert table.newest_until(three, three) is None
    assert table.newest_until(three - timedelta(seconds=1), three - timedelta(hours=23)) is None


@settings(max_examples=60, deadline=None)
@given(
    cron=st.sampled_from(["*/17 * * * *", "30 2 * * *", "5,40 1-3 * * *", "0 */2 * * *", "15 2 29 3 *"]),
    zone=st.sampled_from([BERLIN, LORD_HOWE, ZoneInfo("America/St_Johns"), ZoneInfo("UTC")]),
    start=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(lambda m: m.replace(tzinfo=UTC)),
    hours=st.integers(0, 90),
)
def test_the_newest_time_is_the_last_that_counting_one_by_one_finds(
    cron: str, zone: ZoneInfo, start: datetime, hours: int
) -> None:
    table, end = Timetable(cron, zone), start + timedelta(hours=hours)
    last, moment = None, start
    while (following := table.next_after(moment)) <= end:
        assert following > moment
        last = moment = following
    assert table.newest_until(end, start) == last


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 0 30 2 *", "never fires: there is no such date"),
        ("0 0 31 4,6 *", "never fires"),
        ("0 3 * *", "has 5 fields.*found 4"),
        ("0 0 3 * * *", "has 5 fields.*found 6"),
        ("@daily", "has 5 fields.*found 1"),
        ("", "found 0"),
        ("60 * * * *", "not a cron expression.*out of range"),
        ("a b c d e", "not a cron expression"),
        ("R 3 * * *", "stand for a random time"),
        ("0 h(0-5) * * *", "stand for a random time"),
    ],
)
def test_an_expression_that_does_not_fire_is_refused(expression: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_cron(expression)


@pytest.mark.parametrize("expression", ["0 3 * * *", "0 0 29 2 *", "*/5 8-18 * * mon-fri", "0 0 30 2 1"])
def test_an_expression_that_fires_sometimes_is_taken_as_it_is(expression: str) -> None:
    assert check_cron(expression) == expression


@given(st.one_of(st.text(max_size=20), st.from_regex(r"\A([0-9*/,L#-]{1,4} ){4}[0-9*/,L#-]{1,4}\Z")))
@settings(max_examples=300, deadline=None)
def test_any_text_is_taken_or_refused_in_words(expression: str) -> None:
    try:
        check_cron(expression)
    except ValueError as error:
        assert len(str(error)) > 10  # noqa: PT017  either way is right; nothing else may be raised
    else:
        assert Timetable(expression, BERLIN).next_after(SPRING) > SPRING

"""Every time is run at most once, missed times once together, whatever happens to scheduler and clock.

In a world whose clock, processes and disk are played; with real ones: `test_schedule_process.py`.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count, cycle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.schedule.state import Ending
from tests.orchestration.schedule.schedule_toy import (
    BEGIN,
    KilledError,
    World,
    fuse_until_start,
    killed,
    schedule,
)
from vision.base.errors import RunLockedError

HOUR = 3600.0


def last(world: World, name: str = "watch") -> tuple[Ending, int | None]:
    run = world.state().jobs[name].last
    assert run is not None
    return run.ending, run.exit_code


# --- the timetable is kept ---


def test_a_scheduled_hour_on_an_accelerated_clock() -> None:
    world = World()
    world.live(schedule(learn="20 * * * *"), HOUR + 60)
    assert world.due() == ["12:15", "12:30", "12:45", "13:00"]
    assert world.due("learn") == ["12:20"]
    assert all(each.moment - each.due < timedelta(seconds=1) for each in world.starts)


def test_a_job_that_is_new_counts_from_now_and_catches_nothing_up() -> None:
    world = World()
    world.live(schedule("0 3 * * *"), HOUR)
    assert world.starts == []
    assert world.state().jobs["watch"].settled == BEGIN


def test_times_that_were_missed_are_answered_by_one_run_for_the_newest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.live(schedule(), 60)
    world.moment += timedelta(days=3, minutes=5)
    with caplog.at_level("INFO"):
        world.live(schedule(), 60)
    assert world.due() == ["12:00"]
    assert world.starts[0].due == BEGIN + timedelta(days=3)
    assert "starts for 2026-05-07 12:00 UTC, missed until now (2026-05-07 12:06 UTC)" in caplog.text


def test_a_job_that_outlives_its_next_times_is_neither_started_twice_nor_caught_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(behave=lambda _: (40 * 60.0, 0, False))
    world.live(schedule(), 1.5 * HOUR)
    assert world.due() == ["12:15", "13:00"]
    assert "took longer than its pause; it is not run for 2026-05-04 12:45 UTC" in caplog.text


def test_a_time_that_another_job_delayed_is_caught_up_once() -> None:
    world = World(behave=lambda name: (50 * 60.0 if name == "learn" else 10.0, 0, False))
    world.live(schedule(learn="10 * * * *"), 65 * 60)
    assert world.due("learn") == ["12:10"]
    assert world.due() == ["13:00"]


def test_a_job_with_another_timetable_counts_from_now() -> None:
    world = World()
    world.live(schedule("0 3 * * *"), 60)
    world.moment += timedelta(days=2)
    world.live(schedule("0 11 * * *"), 60)
    assert world.starts == []
    world.live(schedule("0 11 * * *", timezone="Europe/Berlin"), 60)
    assert world.starts == []


def test_times_are_read_in_the_configured_zone() -> None:
    world = World()
    world.live(schedule("30 15 * * *", timezone="Europe/Berlin"), 2 * HOUR)
    assert world.due() == ["13:30"]


# --- clocks change ---


@pytest.mark.parametrize(
    ("begin", "shown"),
    [
        (datetime(2026, 3, 28, 12, tzinfo=UTC), ["01:00", "00:30"]),
        (datetime(2026, 10, 24, 12, tzinfo=UTC), ["00:30", "01:30"]),
    ],
    ids=["spring", "autumn"],
)
def test_half_past_two_runs_once_a_night_also_when_the_clocks_change(
    begin: datetime, shown: list[str]
) -> None:
    world = World(moment=begin)
    world.live(schedule("30 2 * * *", timezone="Europe/Berlin"), 40 * HOUR)
    assert world.due() == shown


def test_a_clock_that_is_set_back_runs_no_time_twice_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    world = World(jumps={20 * 60.0: timedelta(minutes=-10), 22 * 60.0: timedelta(hours=-2)})
    world.live(schedule(), 3.5 * HOUR)
    assert world.due() == ["12:15", "12:30", "12:45", "13:00", "13:15"]
    assert world.due() == sorted(set(world.due()))
    assert "is done up to 2026-05-04 12:15 UTC, but the clock shows" in caplog.text
    assert "remove state.json" in caplog.text
    assert caplog.text.count("was it set back?") == 1


def test_a_clock_that_is_set_forward_catches_up_once() -> None:
    world = World(jumps={20 * 60.0: timedelta(days=2)})
    world.live(schedule(), 31 * 60)
    assert [each.due for each in world.starts] == [
        BEGIN + timedelta(minutes=15),
        BEGIN + timedelta(days=2, minutes=15),
        BEGIN + timedelta(days=2, minutes=30),
    ]


# --- runs end in every way ---


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "0 done"),
        (1, "1 the run failed"),
        (2, "2 the config or the data is wrong"),
        (3, "3 a gate refused"),
        (-9, "killed by signal 9"),
        (77, "77 unexpected exit code"),
    ],
)
def test_how_a_run_ended_is_kept_and_stops_nothing(code: int, words: str) -> None:
    world = World(behave=lambda _: (12.5, code, False))
    world.live(schedule(), HOUR - 60)
    assert world.due() == ["12:15", "12:30", "12:45"]
    run = world.state().jobs["watch"].last
    assert run is not None
    assert (run.exit_code, run.seconds, run.in_words()) == (code, 12.5, words)


def test_a_run_that_another_run_keeps_out_is_tried_again_after_a_pause() -> None:
    tries = iter([(2.0, 1, True), (2.0, 1, True), (2.0, 0, False)])
    world = World(behave=lambda _: next(tries))
    world.live(schedule(retry_seconds=60), 20 * 60)
    assert [(each.moment - BEGIN).total_seconds() for each in world.starts] == [900.0, 962.0, 1024.0]
    assert world.due() == ["12:15"]
    assert last(world) == (Ending.EXITED, 0)
    assert world.state().jobs["watch"].num_refusals == 0


def test_a_run_that_is_kept_out_too_often_is_given_up_until_its_next_time() -> None:
    world = World(behave=lambda _: (2.0, 1, True))
    world.live(schedule("0 * * * *", max_retries=3), 1.8 * HOUR)
    assert len(world.starts) == 4
    assert last(world) == (Ending.KEPT_OUT, 1)


def meet_a_going_run(num_times: float) -> Callable[[str], tuple[float, int, bool]]:
    """Runs that cannot start so many times, because the process of another one lives."""
    tries = count()

    def behave(name: str) -> tuple[float, int, bool]:
        if next(tries) < num_times:
            raise RunLockedError(f"Run {name} cannot start: run learn (process 5) is going.")
        return 2.0, 0, False

    return behave


def test_a_job_that_meets_a_going_run_is_postponed_and_then_run_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(behave=meet_a_going_run(2))
    world.live(schedule(retry_seconds=60), 20 * 60)
    assert [(each.moment - BEGIN).total_seconds() for each in world.starts] == [1020.0]
    assert world.due() == ["12:15"]
    assert last(world) == (Ending.EXITED, 0)
    assert world.state().jobs["watch"].num_refusals == 0
    assert caplog.text.count("Job watch waits: Run watch cannot start: run learn (process 5) is going") == 2


def test_a_job_that_meets_going_runs_too_often_is_given_up_until_its_next_time() -> None:
    world = World(behave=meet_a_going_run(4))
    world.live(schedule("0 * * * *", max_retries=3), 1.5 * HOUR)
    assert world.starts == []
    assert last(world) == (Ending.KEPT_OUT, 1)
    world.live(schedule("0 * * * *", max_retries=3), HOUR)
    assert world.due() == ["14:00"]
    assert last(world) == (Ending.EXITED, 0)


def test_the_pause_of_a_clock_that_was_set_back_does_not_grow() -> None:
    tries = iter([(2.0, 1, True), (2.0, 0, False)])
    world = World(behave=lambda _: next(tries), jumps={910.0: timedelta(minutes=-14)})
    world.live(schedule(retry_seconds=60), 40 * 60)
    assert world.due() == ["12:15"]


def test_a_run_over_its_time_is_stopped_and_named() -> None:
    world = World(behave=lambda _: (9 * HOUR, 0, False))
    world.live(schedule(max_hours=0.1), 30 * 60)
    assert world.due() == ["12:15"]
    assert world.signals == ["interrupt"]
    assert last(world) == (Ending.TIMED_OUT, -2)


def test_a_run_that_cannot_be_started_is_named_and_stops_nothing() -> None:
    def fail(_: str) -> tuple[float, int, bool]:
        raise FileNotFoundError("no such program")

    world = World(behave=fail)
    world.live(schedule(), 31 * 60)
    assert last(world) == (Ending.NOT_STARTED, None)
    assert world.state().jobs["watch"].settled == BEGIN + timedelta(minutes=30)


# --- stopping ---


def test_a_scheduler_that_is_stopped_stops_its_run_and_writes_that_down() -> None:
    world = World(behave=lambda _: (HOUR, 0, False))
    world.live(schedule(), 16 * 60)
    assert world.signals == ["interrupt"]
    assert last(world) == (Ending.STOPPED, -2)
    assert world.state().jobs["watch"].going is None


def test_a_run_that_does_not_listen_is_killed_after_the_bound() -> None:
    world = World(behave=lambda _: (HOUR, 0, False), deaf=True)
    world.live(schedule(stop_seconds=20), 16 * 60)
    assert world.signals == ["interrupt", "kill"]
    assert last(world) == (Ending.STOPPED, -9)
    assert world.seconds == pytest.approx(16 * 60 + 20, abs=2)


def test_a_run_that_was_stopped_is_not_run_again_for_its_time() -> None:
    world = World(behave=lambda _: (HOUR, 0, False))
    world.live(schedule(), 16 * 60)
    world.live(schedule(), 10 * 60)
    assert world.due() == ["12:15"]


# --- kill -9 ---


def test_a_run_that_died_with_its_scheduler_is_named_and_not_run_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(behave=lambda _: (600.0, 0, False))
    killed(world, schedule(), fuse_until_start(schedule()) + 3)
    world.run = None
    world.live(schedule(), 5 * 60)
    assert world.due() == ["12:15"]
    assert last(world) == (Ending.LOST, None)
    assert "Job watch was running for 2026-05-04 12:15 UTC when the scheduler was killed" in caplog.text
    world.live(schedule(), 15 * 60)
    assert world.due() == ["12:15", "12:30"]


def test_a_run_that_outlived_its_scheduler_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    world = World(behave=lambda _: (20 * 60.0, 0, False))
    killed(world, schedule(), fuse_until_start(schedule()) + 3)
    world.live(schedule(), 25 * 60)
    assert world.due() == ["12:15", "12:30"]
    assert world.starts[1].moment >= BEGIN + timedelta(minutes=35)
    assert "is still running. Nothing is started before it ends" in caplog.text


def test_a_run_that_outlived_its_scheduler_is_stopped_with_the_next_one() -> None:
    world = World(behave=lambda _: (20 * 60.0, 0, False))
    killed(world, schedule(), fuse_until_start(schedule()) + 3)
    world.live(schedule(), 60)
    assert world.signals == ["interrupt"]
    assert last(world) == (Ending.LOST, None)


def test_whenever_it_is_killed_around_a_run_no_time_is_run_twice_and_none_after_it_is_lost() -> None:
    first = fuse_until_start(schedule())
    for fuse in range(first - 8, first + 30):
        world = World()
        killed(world, schedule(), fuse)
        world.run = None
        world.live(schedule(), 31 * 60)
        assert world.due() in (["12:15", "12:30"], ["12:15", "12:30", "12:45"], ["12:30", "12:45"]), fuse
        assert len(set(world.due())) == len(world.due())


LIVES = st.lists(
    st.fixed_dictionaries(
        {
            "seconds": st.integers(1, 2400),
            "fuse": st.none() | st.integers(0, 400),
            "run_dies_too": st.booleans(),
            "jump_inside": st.integers(-5400, 5400),
            "jump_after": st.integers(-5400, 9000),
        }
    ),
    min_size=1,
    max_size=5,
)
RUNS = st.lists(
    st.tuples(st.integers(0, 900).map(float), st.sampled_from([0, 1, 3, -9]), st.booleans()),
    min_size=1,
    max_size=6,
).filter(lambda runs: not all(kept_out for _, _, kept_out in runs))


@settings(max_examples=40, deadline=None)
@given(lives=LIVES, runs=RUNS)
def test_never_two_runs_of_one_time_and_never_more_than_one_catch_up(
    lives: list[dict[str, Any]], runs: list[tuple[float, int, bool]]
) -> None:
    """Over kills anywhere, clocks set anyhow and runs of any length; and afterwards it goes on."""
    config = schedule("*/7 * * * *", learn="5-59/13 * * * *", max_retries=2)
    behaviour = cycle(runs)
    world = World(behave=lambda _: next(behaviour))
    for life in lives:
        world.fuse = life["fuse"]
        world.jumps = {world.seconds + life["seconds"] / 2: timedelta(seconds=life["jump_inside"])}
        try:
            world.live(config, life["seconds"])
        except KilledError:
            if life["run_dies_too"]:
                world.run = None
        world.set_clock(timedelta(seconds=life["jump_after"]))
    world.fuse, world.jumps = None, {}
    world.moment = max(boundary.moment for boundary in world.boundaries) + timedelta(hours=2)
    num_before = len(world.starts)
    world.live(config, 1.5 * HOUR)
    assert {each.name for each in world.starts[num_before:]} == {"watch", "learn"}
    check_promises(world)


def check_promises(world: World) -> None:
    """No time twice and none after a later one; at most one run answers what lies before a boundary.

    A clock that is set back ends that count: what lay before comes again, and may be run if it was not.
    """
    for name in ("watch", "learn"):
        due = [each.due for each in world.starts if each.name == name and not each.kept_out]
        assert due == sorted(set(due))
        for number, boundary in enumerate(world.boundaries):
            later = (each.num_starts for each in world.boundaries[number + 1 :] if each.is_set_back)
            window = world.starts[boundary.num_starts : next(later, len(world.starts))]
            runs = [each for each in window if each.name == name and not each.kept_out]
            assert sum(each.due <= boundary.moment for each in runs) <= 1


# --- the disk ---


def test_nothing_is_started_that_could_not_be_written_down(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.full = lambda: 850 < world.seconds < 1100
    world.live(schedule(), 20 * 60)
    assert [(each.moment - BEGIN).total_seconds() for each in world.starts] == [1140.0]
    assert world.due() == ["12:15"]
    assert "Nothing is started until the state can be written" in caplog.text


def test_how_a_run_ended_is_remembered_until_the_disk_takes_it() -> None:
    world = World(behave=lambda _: (100.0, 3, False))
    world.full = lambda: 950 < world.seconds < 1100
    world.live(schedule(), 20 * 60)
    assert world.due() == ["12:15"]
    assert last(world) == (Ending.EXITED, 3)


# --- run what is due and end ---


def test_once_enters_jobs_then_runs_what_is_due_and_gives_the_exit_code() -> None:
    world = World(behave=lambda name: (10.0, 3 if name == "learn" else 0, False))
    config = schedule(learn="*/10 * * * *")
    assert world.begin(config).run_due() == 0
    assert world.starts == []
    world.moment += timedelta(minutes=16)
    assert world.begin(config).run_due() == 3
    assert (world.due(), world.due("learn")) == (["12:15"], ["12:10"])
    assert world.begin(config).run_due() == 0
    assert len(world.starts) == 2


def test_once_with_nothing_due_says_what_comes_next(caplog: pytest.LogCaptureFixture) -> None:
    world = World(behave=lambda _: (10.0, 0, False))
    config = schedule(learn="*/10 * * * *")
    caplog.set_level("INFO", "orchestration")
    world.begin(config).run_due()
    nothing_due = "Nothing is due; next: learn at 2026-05-04 12:10 UTC, watch at 2026-05-04 12:15 UTC."
    assert caplog.messages[-1] == nothing_due
    caplog.clear()
    world.moment += timedelta(minutes=16)
    world.begin(config).run_due()
    assert len(world.starts) == 2
    assert "Nothing is due" not in caplog.text


def test_once_leaves_a_run_that_was_kept_out_to_the_next_call() -> None:
    tries = iter([(2.0, 1, True), (2.0, -9, False)])
    world = World(behave=lambda _: next(tries))
    world.begin(schedule()).run_due()
    world.moment += timedelta(minutes=16)
    assert world.begin(schedule()).run_due() == 0
    assert world.begin(schedule()).run_due() == 0
    world.moment += timedelta(minutes=1)
    assert world.begin(schedule()).run_due() == 1
    assert world.due() == ["12:15"]


def test_once_starts_nothing_beside_a_run_that_outlived_its_scheduler() -> None:
    world = World(behave=lambda _: (20 * 60.0, 0, False))
    killed(world, schedule(), fuse_until_start(schedule()) + 3)
    world.moment += timedelta(minutes=20)
    assert world.begin(schedule()).run_due() == 0
    assert len(world.starts) == 1

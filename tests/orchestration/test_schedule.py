"""Every time is run at most once, missed times once together, whatever happens to scheduler and clock."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.schedule import find_commands, run_schedule
from orchestration.schedule_config import ScheduleConfig
from orchestration.schedule_process import ProcessRunner, StopRequest, SystemClock, rotate, stop_on_signals
from orchestration.schedule_state import Ending, JobState, ScheduleFiles, ScheduleState, StateFile
from orchestration.schedule_status import print_status
from tests.orchestration.schedule_toy import BEGIN, KilledError, World, make_project
from vision.config import load_settings
from vision.errors import ConfigError, RunLockedError, StorageError
from vision.lock import RunLock

ROOT = Path(__file__).resolve().parents[2]
HOUR = 3600.0


def schedule(cron: str = "*/15 * * * *", **changes: Any) -> ScheduleConfig:
    """One job, `watch`; `learn` is another one's expression."""
    jobs: dict[str, Any] = {"watch": {"pipeline": "monitoring", "config": "watch.yaml", "cron": cron}}
    if learn := changes.pop("learn", None):
        jobs["learn"] = {"pipeline": "retraining", "config": "learn.yaml", "cron": learn}
    if "max_hours" in changes:
        jobs["watch"]["max_hours"] = changes.pop("max_hours")
    return ScheduleConfig.model_validate({"jobs": jobs, **changes})


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
    assert "is settled up to 2026-05-04 12:15 UTC, but the clock shows" in caplog.text
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


def killed(world: World, config: ScheduleConfig, fuse: int) -> None:
    world.fuse = fuse
    with pytest.raises(KilledError):
        world.live(config)
    world.fuse = None


def fuse_until_start(config: ScheduleConfig) -> int:
    """How many happenings lie before the first process of a new world."""
    for fuse in range(1, 1000):
        world = World(behave=lambda _: (600.0, 0, False))
        killed(world, config, fuse)
        if world.starts:
            return fuse
    raise AssertionError


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
    assert "still goes. Nothing is started before it ends" in caplog.text


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


# --- the state ---


def test_a_damaged_state_is_set_aside_told_and_counts_from_now(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number, content in enumerate(['{"schema_version": 1, "jobs": {"wat', "[]", '{"jobs": {}}', "\x00"]):
        file = StateFile(tmp_path / str(number) / "state.json")
        file.path.parent.mkdir()
        file.path.write_text(content, encoding="utf-8")
        with pytest.raises(StorageError, match="does not hold a scheduler's state"):
            file.read()
        assert file.read_or_set_aside(BEGIN) == ScheduleState()
        aside = file.path.with_name("state.json.damaged-20260504-120000")
        assert aside.read_text(encoding="utf-8") == content
        assert (
            "It was set aside as state.json.damaged-20260504-120000. Every job counts from now" in caplog.text
        )


def test_a_state_of_a_newer_program_is_refused_and_stays(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state.json")
    file.path.write_text('{"schema_version": 2, "jobs": [1]}', encoding="utf-8")
    with pytest.raises(StorageError, match=r"schema version 2; this program reads up to 1\. Update Taxon"):
        file.read_or_set_aside(BEGIN)
    assert file.path.exists()


def test_a_state_that_is_written_comes_back(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "folder" / "state.json")
    state = ScheduleState().with_job("watch", JobState(cron="0 3 * * *", timezone="UTC", settled=BEGIN))
    file.write(state)
    assert file.read() == state


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


# --- the config ---


def write(folder: Path, **tree: Any) -> Path:
    path = folder / "schedule.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return path


def test_all_faults_of_a_schedule_are_told_at_once(tmp_path: Path) -> None:
    job = {"pipeline": "monitoring", "config": "watch.yaml", "cron": "0 0 30 2 *"}
    jobs = {
        "a": job,
        "b": {**job, "cron": "0 3 * * *", "pipelin": "x"},
        "c": {**job, "cron": "61 * * * *", "set": ["x"]},
        "d": {**job, "cron": 5, "pipeline": "monitor"},
    }
    with pytest.raises(ConfigError) as caught:
        load_settings(ScheduleConfig, write(tmp_path, jobs=jobs, timezone="Europe/Berlni", stop_secs=3))
    told = str(caught.value)
    assert len(told.splitlines()) == 8
    assert (
        "jobs.a.cron: never fires: there is no such date. Change the day or the month; got '0 0 30 2" in told
    )
    assert "jobs.b.pipelin: unknown key; did you mean pipeline?" in told
    assert "jobs.c.cron: not a cron expression" in told
    assert "jobs.c.set: 'x': expected dotted.key=value" in told
    assert "jobs.d.cron: Input should be a valid string; got 5" in told
    assert "jobs.d.pipeline: Input should be 'monitoring', 'retraining' or 'training'; got 'monitor'" in told
    assert "timezone: unknown time zone; did you mean Europe/Berlin?" in told
    assert "stop_secs: unknown key; did you mean stop_seconds?" in told


@pytest.mark.parametrize("zone", ["", "../etc/passwd", "/etc/localtime", "Europe", "x" * 5000, "a\x00b"])
def test_what_is_no_time_zone_is_refused(tmp_path: Path, zone: str) -> None:
    job = {"pipeline": "training", "config": "fast.yaml", "cron": "0 3 * * *"}
    with pytest.raises(ConfigError, match="timezone: unknown time zone"):
        load_settings(ScheduleConfig, write(tmp_path, jobs={"a": job}, timezone=zone))


@pytest.mark.parametrize("jobs", [{}, {"../x": {}}, None])
def test_a_schedule_needs_jobs_with_plain_names(tmp_path: Path, jobs: object) -> None:
    with pytest.raises(ConfigError, match="jobs"):
        load_settings(ScheduleConfig, write(tmp_path, jobs=jobs))


def test_a_job_whose_config_does_not_exist_is_refused_before_anything_runs(tmp_path: Path) -> None:
    paths = make_project(tmp_path, "")
    (tmp_path / "configs" / "watch.yaml").unlink()
    with pytest.raises(ConfigError, match=r"jobs\.watch\.config: watch\.yaml: no such config"):
        run_schedule(schedule(), paths)
    assert not paths.state.exists()


def test_a_job_is_started_by_the_real_command_line(tmp_path: Path) -> None:
    paths = make_project(tmp_path, "")
    job = {"pipeline": "monitoring", "config": "watch", "cron": "0 3 * * *", "set": ["a.b=1", "c=x y"]}
    commands = find_commands(ScheduleConfig.model_validate({"jobs": {"watch": job}}), paths)
    config = str(paths.root / "configs" / "watch.yaml")
    assert list(commands["watch"]) == [
        *(sys.executable, str(paths.root / "run.py"), "--pipeline", "monitoring", "--config", config),
        *("--set", "a.b=1", "--set", "c=x y"),
    ]


# --- processes ---


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[ProcessRunner]:
    runner = ProcessRunner(tmp_path / "schedule", tmp_path, max_log_bytes=50, num_old_logs=2)
    yield runner
    if (left := runner.survivor()) is not None:
        left.kill()
        assert left.wait(10)


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def test_a_run_appends_what_it_says_to_its_log_under_its_command(runner: ProcessRunner) -> None:
    job = runner.start(
        "watch", python("import sys; print('said'); print('cried', file=sys.stderr); sys.exit(3)")
    )
    assert job.wait(20)
    assert job.exit_code == 3
    log = runner.log("watch").read_text(encoding="utf-8")
    assert log.startswith("\n=== 20")
    assert log.endswith("said\ncried\n")
    assert not job.was_kept_out()
    assert runner.survivor() is None


def test_only_the_last_run_counts_when_a_log_says_that_one_was_kept_out(runner: ProcessRunner) -> None:
    text = f"import sys; sys.exit('{RunLockedError.__name__}: Run a cannot start')"
    first = runner.start("watch", python(text))
    assert first.wait(20)
    assert first.was_kept_out()
    second = runner.start("watch", python("print('RunLockedErrors'); raise SystemExit(1)"))
    assert second.wait(20)
    assert not second.was_kept_out()


def test_run_py_says_that_a_run_was_kept_out_as_the_scheduler_expects(
    tmp_path: Path, runner: ProcessRunner
) -> None:
    code = (
        "import sys, run; from vision.lock import RunLock; from pathlib import Path\n"
        "def hold(options):\n"
        "    with RunLock(Path(sys.argv[1]), 'second'): pass\n"
        "run._dispatch = hold\n"
        f"sys.path.insert(0, {str(ROOT)!r}); sys.exit(run.main(['runs']))"
    )
    command = python(f"import sys; sys.path.insert(0, {str(ROOT)!r})\n" + code)
    with RunLock(tmp_path / "lock", "first"):
        job = runner.start("watch", [*command, str(tmp_path / "lock")])
        assert job.wait(30)
    assert job.exit_code == RunLockedError.exit_code
    assert job.was_kept_out()


def test_a_run_and_what_it_started_can_be_told_to_stop(runner: ProcessRunner) -> None:
    inner = "import time; print('inner', flush=True); time.sleep(60)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    job = runner.start("watch", python(outer))
    while "inner\n" not in runner.log("watch").read_text(encoding="utf-8"):
        assert not job.wait(0.05)
    job.interrupt()
    assert job.wait(20)
    assert runner.log("watch").read_text(encoding="utf-8").count("KeyboardInterrupt") == 2


def test_a_second_run_is_refused_and_the_first_is_known_as_a_survivor(runner: ProcessRunner) -> None:
    job = runner.start("watch", python("import time; time.sleep(60)"))
    with pytest.raises(RunLockedError, match=f"process {job.pid}"):
        runner.start("learn", python("pass"))
    survivor = runner.survivor()
    assert survivor is not None
    assert survivor.pid == job.pid
    assert not survivor.wait(0.01)
    survivor.kill()
    assert job.wait(20)
    assert survivor.wait(20)
    assert survivor.exit_code is None
    assert job.exit_code == -signal.SIGKILL


def test_a_log_over_its_size_is_put_away_and_the_oldest_goes(tmp_path: Path) -> None:
    path = tmp_path / "watch.log"
    for number in range(4):
        path.write_text(str(number) * 60, encoding="utf-8")
        rotate(path, 50, 2)
        assert not path.exists()
    path.write_text("small", encoding="utf-8")
    rotate(path, 50, 2)
    kept = {each.name: each.read_text(encoding="utf-8")[0] for each in tmp_path.iterdir()}
    assert kept == {"watch.log": "s", "watch.log.1": "3", "watch.log.2": "2"}


def test_a_program_that_does_not_exist_leaves_no_lock(runner: ProcessRunner) -> None:
    with pytest.raises(FileNotFoundError):
        runner.start("watch", ["/no/such/program"])
    assert runner.survivor() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_a_request_to_stop_that_ends_sleep(number: signal.Signals) -> None:
    stop, former = StopRequest(), signal.getsignal(number)
    with stop_on_signals(stop):
        os.kill(os.getpid(), number)
        SystemClock(stop).sleep(600)
    assert stop.requested
    assert signal.getsignal(number) is former


# --- from outside ---


def test_a_second_scheduler_is_refused_and_told_who_lives(tmp_path: Path) -> None:
    paths = make_project(tmp_path, "")
    with RunLock(ScheduleFiles.of(paths).lock, "scheduler"):
        for once in (False, True):
            with pytest.raises(RunLockedError, match=rf"scheduler \(process {os.getpid()}\) is going since"):
                run_schedule(schedule(), paths, once=once)


def test_status_before_the_first_scheduler(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = make_project(tmp_path, "")
    assert print_status(schedule(), paths) == 0
    told = capsys.readouterr().out
    assert "never" in told
    assert "No scheduler lives. Start one: python run.py schedule" in told
    assert not paths.state.exists()


def test_status_tells_the_last_and_the_next_run_and_who_lives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = make_project(tmp_path, "")
    files = ScheduleFiles.of(paths)
    world = World(moment=datetime.now(UTC).replace(minute=14, second=0) - timedelta(days=2))
    world.behave = lambda _: (61.5, 3, False)
    world.live(schedule(learn="0 0 1 1 *"), 180)
    StateFile(files.state).write(world.state())
    with RunLock(files.lock, "scheduler"):
        print_status(schedule(learn="0 0 1 1 *"), paths)
    rows = capsys.readouterr().out.splitlines()
    watch = next(row for row in rows if "watch" in row)
    assert f"{world.starts[0].moment:%Y-%m-%d %H:15:00}" in watch
    assert "3 a gate refused" in watch
    assert "61.5" in watch
    assert "due now" in watch
    learn = next(row for row in rows if "learn" in row)
    assert "never" in learn
    assert "-01-01 00:00:00" in learn
    assert any(f"The scheduler lives: process {os.getpid()}, since" in row for row in rows)


def test_status_knows_a_killed_scheduler_and_a_run_that_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = make_project(tmp_path, "")
    files = ScheduleFiles.of(paths)
    world = World(behave=lambda _: (600.0, 0, False))
    killed(world, schedule(), fuse_until_start(schedule()) + 3)
    StateFile(files.state).write(world.state())
    files.lock.write_text('{"pid": 12, "run_name": "scheduler", "since": "2026-05-04"}', encoding="utf-8")
    print_status(schedule(), paths)
    told = capsys.readouterr().out
    assert "runs since 2026-05-04 12:15:00" in told
    assert "No scheduler lives. Process 12, started 2026-05-04, was killed." in told


def test_once_with_real_processes_runs_what_is_due_and_logs_it(tmp_path: Path) -> None:
    paths = make_project(tmp_path, "")
    files = ScheduleFiles.of(paths)
    assert run_schedule(schedule(), paths, once=True) == 0
    state = StateFile(files.state).read()
    job = state.jobs["watch"]
    day_ago = job.model_copy(update={"settled": job.settled - timedelta(days=1)})
    StateFile(files.state).write(state.with_job("watch", day_ago))
    assert run_schedule(schedule(), paths, once=True) == 0
    assert (tmp_path / "ledger").read_text(encoding="utf-8") == "begin watch\nend watch\nclean 50\n"
    assert "one line of output" in (files.folder / "watch.log").read_text(encoding="utf-8")
    last_run = StateFile(files.state).read().jobs["watch"].last
    assert last_run is not None
    assert last_run.exit_code == 0


@pytest.mark.parametrize("keep", [None, 3, 7])
def test_old_runs_are_removed_after_a_job_and_a_failure_of_that_is_told_and_changes_no_exit_code(
    tmp_path: Path, keep: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    paths = make_project(tmp_path, "")
    config = schedule(keep_runs=keep)
    assert run_schedule(config, paths, once=True) == 0
    assert not (tmp_path / "ledger").exists()
    file = StateFile(ScheduleFiles.of(paths).state)
    job = file.read().jobs["watch"]
    file.write(file.read().with_job("watch", job.model_copy(update={"settled": job.settled - timedelta(1)})))
    assert run_schedule(config, paths, once=True) == 0
    ledger = (tmp_path / "ledger").read_text(encoding="utf-8").splitlines()
    assert ledger == ["begin watch", "end watch", *([f"clean {keep}"] if keep else [])]
    assert ("Old runs were not removed (keep_runs); why: " in caplog.text) == (keep == 7)  # 7 fails


SCHEDULE = """
keep_runs: null  # a process more between two runs would take minutes on this clock
jobs:
  watch: {pipeline: monitoring, config: watch.yaml, cron: "*/10 * * * *"}
  learn: {pipeline: retraining, config: learn.yaml, cron: "5-59/20 * * * *"}
"""
SPEED = 600.0


def start_scheduler(root: Path, epoch: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.orchestration.schedule_toy", str(root), str(SPEED), str(epoch)]
    with (root / "scheduler.log").open("ab") as log:
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)


def wait_for(root: Path, line: str, num: int = 1) -> list[str]:
    """The ledger once it has the line so often."""
    ledger = root / "ledger"
    for _ in range(600):
        lines = ledger.read_text(encoding="utf-8").splitlines() if ledger.exists() else []
        if lines.count(line) >= num:
            return lines
        time.sleep(0.05)
    raise AssertionError((root / "scheduler.log").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_real_processes_with_kill_9_in_the_middle_of_a_run(tmp_path: Path) -> None:
    """An hour takes six seconds; the run and its scheduler die together, time passes, another goes on."""
    files = ScheduleFiles.of(make_project(tmp_path, SCHEDULE))
    epoch = time.time()
    (tmp_path / "learn").write_text("60", encoding="utf-8")
    first = start_scheduler(tmp_path, epoch)
    wait_for(tmp_path, "begin learn")
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    left = ProcessRunner(files.folder, tmp_path, 1, 1).survivor()
    assert left is not None
    left.kill()
    assert left.wait(10)
    before = StateFile(files.state).read()
    going = before.jobs["learn"].going
    assert going is not None
    (tmp_path / "learn").unlink()
    time.sleep(2.5)  # 25 minutes: two or three times of `watch` are missed
    num_before = (tmp_path / "ledger").read_text(encoding="utf-8").splitlines().count("begin watch")
    second = start_scheduler(tmp_path, epoch)
    wait_for(tmp_path, "end watch", num_before + 2)
    second.terminate()
    assert second.wait(20) == 0
    told = (tmp_path / "scheduler.log").read_text(encoding="utf-8")
    assert (
        told.count(f"Job learn was running for {going.due:%Y-%m-%d %H:%M UTC} when the scheduler was killed")
        == 1
    )
    assert told.count(f"Job learn starts for {going.due:%Y-%m-%d %H:%M UTC}") == 1
    started = [
        line.split(" starts for ")[1][:16] for line in told.splitlines() if "Job watch starts for" in line
    ]
    assert len(started) == len(set(started)), "a time was run twice"
    assert sum("Job watch starts" in line and "missed until" in line for line in told.splitlines()) <= 1
    missed_from = before.jobs["watch"].settled
    caught_up = datetime.strptime(started[num_before], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    assert caught_up - missed_from >= timedelta(minutes=20), "one run answers several missed times"
    assert "The scheduler was told to stop, and has." in told

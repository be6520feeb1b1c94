"""No time runs twice, none that counts is lost, one process runs at a time, whatever happens meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from orchestration.schedule.runner import CLEANING, Scheduler, find_commands, run_schedule
from orchestration.schedule.state import (
    LOCK,
    Ending,
    JobState,
    ScheduleState,
    find_folder,
    print_status,
    read_state,
    write_state,
)
from orchestration.session.paths import ProjectPaths
from tests.orchestration.schedule.world import BEGIN, KilledError, World, schedule
from tests.shared_data import REPOSITORY
from vision.base.errors import ConfigError, RunLockedError, StorageError
from vision.base.lock import RunLock

HOURLY = [round(hour + 10 / 60, 2) for hour in range(24)]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, schedule(), monkeypatch)


def test_jobs_run_at_their_times_and_a_new_job_counts_from_now(world: World) -> None:
    assert world.scheduler().run() == 0
    assert world.hours("watch") == HOURLY
    assert world.hours("learn") == [15.67]
    last = world.state().jobs["watch"].last
    assert last is not None
    assert (last.ending, last.exit_code, last.seconds) == (Ending.EXITED, 0, 10.0)


def test_missed_times_are_answered_by_one_run_for_the_newest(world: World) -> None:
    world.scheduler(stop_at=1).run()
    world.scheduler(hours=7.5, stop_at=7.6).run()
    assert world.hours("watch") == [0.17, 7.5]
    assert world.state().jobs["watch"].settled == BEGIN + timedelta(hours=7, minutes=10)


def test_times_that_pass_while_a_job_runs_are_answered_by_that_run(world: World) -> None:
    world.behave = lambda name: (5_000.0, 0) if name == "watch" else (1.0, 0)
    world.scheduler(stop_at=5).run()
    assert world.hours("watch") == [0.17, 2.17, 4.17]


def test_a_job_that_takes_too_long_is_stopped(world: World) -> None:
    world.behave = lambda _: (1e6, 0)
    world.scheduler(stop_at=2.5).run()
    last = world.state().jobs["watch"].last
    assert last is not None
    assert last.ending is Ending.TIMED_OUT


def test_a_job_that_another_run_keeps_out_stays_due_and_is_tried_again(world: World) -> None:
    answers = iter([RunLockedError.exit_code] * 3)
    world.behave = lambda _: (1.0, next(answers, 0))
    world.scheduler(stop_at=1).run()
    assert world.hours("watch") == [0.17, 0.18, 0.2, 0.22]
    last = world.state().jobs["watch"].last
    assert last is not None
    assert (last.due, last.exit_code) == (BEGIN + timedelta(minutes=10), 0)


def test_a_failed_run_is_not_run_again_before_its_next_time(world: World) -> None:
    world.behave = lambda _: (1.0, 2)
    world.scheduler(stop_at=2).run()
    assert world.hours("watch") == [0.17, 1.17]


@pytest.mark.parametrize("kill_at", [0.168, 0.169, 0.5, 1.167])
def test_a_kill_at_any_moment_runs_no_time_twice_and_names_the_run_that_was_lost(
    world: World, kill_at: float
) -> None:
    with pytest.raises(KilledError):
        world.scheduler(kill_at=kill_at).run()
    going = world.state().jobs["watch"].going
    second = world.scheduler(hours=kill_at, stop_at=3)
    second._begin()
    last = world.state().jobs["watch"].last
    if going is not None:
        assert last is not None
        assert (last.ending, last.due) == (Ending.LOST, going.due)
    second.run()
    dues = [int(hour) for hour in world.hours("watch")]
    assert dues == sorted(set(dues))
    assert {1, 2} <= set(dues)


def test_a_clock_that_is_set_back_repeats_no_time_and_is_told(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.scheduler(stop_at=5).run()
    world.scheduler(hours=5, stop_at=9, shift=-3).run()
    assert world.hours("watch") == [*HOURLY[:5], 5.17]
    assert caplog.text.count("was it set back?") == 1


def test_another_expression_counts_from_now(world: World) -> None:
    world.scheduler(stop_at=1).run()
    job = {"pipeline": "monitoring", "config": "watch.yaml", "cron": "30 * * * *"}
    world.config = schedule(jobs={"watch": job})
    world.scheduler(hours=8, stop_at=9).run()
    assert world.hours("watch") == [0.17, 8.5]


def test_nothing_starts_while_the_state_cannot_be_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = world.scheduler(stop_at=3)

    def write(folder: Path, state: ScheduleState) -> None:
        if 0.1 < scheduler.seconds / 3600 < 1.5:
            raise StorageError("full")
        write_state(folder, state)

    monkeypatch.setattr("orchestration.schedule.runner.write_state", write)
    scheduler.run()
    assert [int(hour * 10) for hour in world.hours("watch")] == [15, 21]


def test_a_run_whose_end_cannot_be_written_is_not_run_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = world.scheduler(stop_at=1.5)

    def write(folder: Path, state: ScheduleState) -> None:
        if state.jobs["watch"].last is not None and scheduler.seconds < 3600:
            raise StorageError("full")
        write_state(folder, state)

    monkeypatch.setattr("orchestration.schedule.runner.write_state", write)
    scheduler.run()
    assert world.hours("watch") == [0.17, 1.17]


def test_once_runs_what_is_due_and_gives_the_first_code_that_is_not_0(world: World) -> None:
    assert world.scheduler().run(once=True) == 0
    assert world.starts == []
    codes = {"watch": RunLockedError.exit_code, "learn": 3}
    world.behave = lambda name: (1.0, codes[name])
    assert world.scheduler(hours=16).run(once=True) == 3
    assert [name for name, _ in world.starts] == ["watch", "learn"]
    codes["watch"] = 0
    assert world.scheduler(hours=16).run(once=True) == 0
    assert [name for name, _ in world.starts] == ["watch", "learn", "watch"]


@pytest.mark.parametrize(("code", "told"), [(0, 0), (1, 1)])
def test_old_runs_are_removed_after_a_job_and_a_failure_of_that_is_told(
    world: World, caplog: pytest.LogCaptureFixture, code: int, told: int
) -> None:
    world.config = schedule(keep_runs=3)
    world.behave = lambda name: (1.0, code if name == CLEANING else 0)
    world.scheduler(stop_at=0.5).run()
    assert [name for name, _ in world.starts] == ["watch", CLEANING]
    assert caplog.text.count("Old runs were not removed") == told


def test_a_damaged_state_is_refused_and_kept(world: World) -> None:
    (world.folder / "state.json").write_text("{", encoding="utf-8")
    with pytest.raises(StorageError, match="move the file away"):
        world.scheduler()
    assert (world.folder / "state.json").read_text(encoding="utf-8") == "{"


def test_a_log_that_is_too_large_is_put_away_and_the_oldest_goes(tmp_path: Path) -> None:
    config = schedule(max_log_megabytes=1e-4, num_old_logs=2)
    (tmp_path / "job").write_text("import sys; print(sys.argv[1] * 200)", encoding="utf-8")
    for number in range(4):
        command = (sys.executable, str(tmp_path / "job"), str(number))
        assert Scheduler(config, {"job": command}, tmp_path)._start("job").wait(20) == 0
    assert sorted(each.name for each in tmp_path.glob("job.*")) == ["job.log", "job.log.1", "job.log.2"]
    assert "3333" in (tmp_path / "job.log").read_text(encoding="utf-8")


# --- real processes ---

RUN = """
import fcntl, pathlib, sys, time
name = sys.argv[4].rpartition("/")[2].removesuffix(".yaml")
ledger, lock = pathlib.Path("ledger"), open("lock", "a")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit(4)
with ledger.open("a") as file:
    file.write(f"begin {name}\\n")
time.sleep(float(pathlib.Path(name).read_text()) if pathlib.Path(name).exists() else 0)
with ledger.open("a") as file:
    file.write(f"end {name}\\n")
"""
LOOP = """
import sys
from pathlib import Path
from orchestration.schedule.runner import run_schedule
from orchestration.session.paths import ProjectPaths
from tests.orchestration.schedule.world import schedule
sys.exit(run_schedule(schedule(retry_seconds=1), ProjectPaths.of(Path(sys.argv[1]))))
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[ProjectPaths]:
    """A project whose run.py locks it and notes that it began and ended; both jobs are due since long."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "run.py").write_text(RUN, encoding="utf-8")
    jobs = {}
    for name, job in schedule().jobs.items():
        (tmp_path / "configs" / job.config).write_text("", encoding="utf-8")
        jobs[name] = JobState(cron=job.cron, timezone="UTC", settled=BEGIN)
    paths = ProjectPaths.of(tmp_path)
    write_state(find_folder(paths), ScheduleState(jobs=jobs))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield paths
    for number, handler in handlers.items():
        signal.signal(number, handler)


def ledger(paths: ProjectPaths) -> list[str]:
    path = paths.root / "ledger"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def wait_until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 15
    while not happened() and time.monotonic() < end:
        time.sleep(0.05)
    assert happened()


def test_real_jobs_run_one_after_the_other_and_are_told_in_the_status(
    project: ProjectPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_schedule(schedule(), project, once=True) == 0
    assert sorted(ledger(project)[::2]) == ["begin learn", "begin watch"]
    assert [line.split()[1] for line in ledger(project)[::2]] == [
        line.removeprefix("end ") for line in ledger(project)[1::2]
    ]
    assert print_status(schedule(), project) == 0
    told = capsys.readouterr().out
    assert told.count("0 done") == 2
    assert "watch.yaml" in told
    assert "No scheduler is running" in told


def test_a_second_scheduler_is_refused_and_a_missing_config_is_told(project: ProjectPaths) -> None:
    with (
        RunLock(find_folder(project) / LOCK, "scheduler"),
        pytest.raises(RunLockedError, match="scheduler"),
    ):
        run_schedule(schedule(), project, once=True)
    (project.root / "configs" / "watch.yaml").unlink()
    with pytest.raises(ConfigError, match=r"jobs\.watch\.config: watch\.yaml: no such config"):
        find_commands(schedule(), project)


def test_a_job_that_cannot_be_started_is_told_and_waits_for_its_next_time(
    project: ProjectPaths, caplog: pytest.LogCaptureFixture
) -> None:
    (find_folder(project) / "watch.log").mkdir()
    assert run_schedule(schedule(), project, once=True) == 1
    assert "Job watch could not be started: " in caplog.text
    last = read_state(find_folder(project)).jobs["watch"].last
    assert last is not None
    assert last.ending is Ending.NOT_STARTED
    assert ledger(project) == ["begin learn", "end learn"]


def test_kill_9_of_the_scheduler_leaves_its_run_alone_and_the_next_one_waits_for_it(
    project: ProjectPaths,
) -> None:
    for name in ("watch", "learn"):
        (project.root / name).write_text("4", encoding="utf-8")
    command = [sys.executable, "-c", LOOP, str(project.root)]
    first = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: len(ledger(project)) == 1)
    first.kill()
    first.wait()
    second = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: len(ledger(project)) == 3)
    assert [line.split()[0] for line in ledger(project)] == ["begin", "end", "begin"]  # one after the other
    os.kill(second.pid, signal.SIGTERM)
    assert second.wait(30) == 0
    jobs = read_state(find_folder(project)).jobs
    assert {job.last.ending for job in jobs.values() if job.last} == {Ending.LOST, Ending.STOPPED}
    assert len(ledger(project)) == 3

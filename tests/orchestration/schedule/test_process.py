"""Runs are processes that are logged, stopped, waited for and never two at a time; schedulers are killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestration.schedule.config import ScheduleConfig
from orchestration.schedule.process import (
    ProcessRunner,
    StopRequest,
    SystemClock,
    rotate,
    stop_on_signals,
)
from orchestration.schedule.runner import Scheduler, find_commands, run_schedule
from orchestration.schedule.state import ScheduleFiles, StateFile
from orchestration.session.paths import ProjectPaths
from tests.orchestration.schedule.schedule_toy import BEGIN, World, make_project, schedule
from vision.base.errors import RunLockedError
from vision.base.lock import RunLock

ROOT = Path(__file__).resolve().parents[3]


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


def test_a_run_and_what_it_started_can_be_told_to_stop(runner: ProcessRunner) -> None:
    inner = "import time; print('inner', flush=True); time.sleep(60)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    with stop_on_signals(StopRequest()):  # as in a scheduler: its runs hear SIGINT also where it is ignored
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


# --- schedulers ---


@pytest.mark.long
def test_a_second_scheduler_is_refused_and_told_who_lives(tmp_path: Path) -> None:
    paths = make_project(tmp_path, SCHEDULE)
    first = start_scheduler(tmp_path, time.time())
    try:
        wait_for(tmp_path, "begin watch")
        for once in (True, False):
            with pytest.raises(RunLockedError, match=rf"scheduler \(process {first.pid}\) has been"):
                run_schedule(schedule(), paths, once=once)
    finally:
        first.terminate()
        assert first.wait(20) == 0


def test_a_job_that_meets_a_going_run_is_postponed_and_runs_once_that_ended(tmp_path: Path) -> None:
    paths, world = make_project(tmp_path, ""), World()
    files = ScheduleFiles.of(paths)
    runner, config = ProcessRunner(files.folder, tmp_path, 1000, 1), schedule()
    state = StateFile(files.state)
    scheduler = Scheduler(config, find_commands(config, paths), state, world, runner, world.stop)
    scheduler.run_due()
    going = runner.start("learn", python("import time; time.sleep(60)"))
    world.moment += timedelta(minutes=16)
    assert scheduler.run_due() == 0
    job = state.read().jobs["watch"]
    assert (job.num_refusals, job.going, job.last, job.settled) == (1, None, None, BEGIN)
    assert not (tmp_path / "ledger").exists()
    going.kill()
    assert going.wait(20)
    world.moment += timedelta(minutes=1)
    assert scheduler.run_due() == 0
    job = state.read().jobs["watch"]
    assert job.last is not None
    assert (job.last.due, job.last.exit_code) == (BEGIN + timedelta(minutes=15), 0)
    assert (tmp_path / "ledger").read_text(encoding="utf-8") == "begin watch\nend watch\n"


@pytest.mark.slow
def test_a_job_that_meets_a_run_started_by_hand_is_postponed_by_what_run_py_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAXON_STATE", str(tmp_path))
    paths = ProjectPaths.of(ROOT)
    files = ScheduleFiles.of(paths)
    watch = {"pipeline": "monitoring", "config": "fast.yaml", "cron": "*/15 * * * *"}
    config = ScheduleConfig.model_validate({"jobs": {"watch": watch}})
    enter_long_ago(config, paths)
    with RunLock(paths.lock, "by-hand"):
        assert run_schedule(config, paths, once=True) == 0
    told = (files.folder / "watch.log").read_text(encoding="utf-8")
    assert f"cannot start: run by-hand (process {os.getpid()}) has been running since" in told
    job = StateFile(files.state).read().jobs["watch"]
    assert (job.num_refusals, job.going, job.last) == (1, None, None)
    assert job.retry_at is not None


def enter_long_ago(config: ScheduleConfig, paths: ProjectPaths) -> None:
    """Have the job `watch` be known since yesterday, so that it is due."""
    assert run_schedule(config, paths, once=True) == 0
    file = StateFile(ScheduleFiles.of(paths).state)
    state = file.read()
    job = state.jobs["watch"]
    day_ago = job.model_copy(update={"settled": job.settled - timedelta(days=1)})
    file.write(state.with_job("watch", day_ago))


def test_once_with_real_processes_runs_what_is_due_and_logs_it(tmp_path: Path) -> None:
    paths = make_project(tmp_path, "")
    files = ScheduleFiles.of(paths)
    enter_long_ago(schedule(), paths)
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
    enter_long_ago(config, paths)
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
    command = [
        sys.executable,
        "-m",
        "tests.orchestration.schedule.schedule_toy",
        str(root),
        str(SPEED),
        str(epoch),
    ]
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
@pytest.mark.long
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

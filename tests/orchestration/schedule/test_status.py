"""The status tells what was run, what goes and what is next, and whether a scheduler is running."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestration.schedule.state import ScheduleFiles, StateFile
from orchestration.schedule.status import print_status
from tests.orchestration.schedule.schedule_toy import (
    World,
    fuse_until_start,
    killed,
    make_project,
    schedule,
)
from vision.base.lock import RunLock


def test_status_before_the_first_scheduler(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = make_project(tmp_path, "")
    assert print_status(schedule(), paths) == 0
    told = capsys.readouterr().out
    assert "never" in told
    assert "No scheduler is running. Start one: python run.py schedule" in told
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
    assert any(f"The scheduler is running: process {os.getpid()}, since" in row for row in rows)


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
    assert "No scheduler is running. Process 12, started 2026-05-04, was killed." in told

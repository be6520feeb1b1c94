"""Faults of a schedule are told all at once, before anything is started."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestration.schedule.config import ScheduleConfig
from orchestration.schedule.runner import CLEANING, find_commands
from orchestration.session.paths import ProjectPaths
from vision.base.errors import ConfigError
from vision.config.reading.loading import load_settings


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
    assert "jobs.d.cron: " in told
    assert "got 5" in told
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


def test_a_job_is_started_by_the_real_command_line(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "watch.yaml").write_text("", encoding="utf-8")
    paths = ProjectPaths.of(tmp_path)
    job = {"pipeline": "monitoring", "config": "watch", "cron": "0 3 * * *", "set": ["a.b=1", "c=x y"]}
    config = ScheduleConfig.model_validate({"jobs": {"watch": job, "clean": job}, "keep_runs": 7})
    commands = find_commands(config, paths)
    path = str(paths.root / "configs" / "watch.yaml")
    assert list(commands["watch"]) == [
        *(sys.executable, str(paths.root / "run.py"), "--pipeline", "monitoring", "--config", path),
        *("--set", "a.b=1", "--set", "c=x y"),
    ]
    assert commands["clean"] == commands["watch"]
    assert commands[CLEANING][-3:] == ("clean", "--keep", "7")

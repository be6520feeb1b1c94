"""The command line names every pipeline that a schedule may start, and the scheduler's process stays slim."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import run
from orchestration.paths import ProjectPaths
from orchestration.schedule import find_commands
from orchestration.schedule_config import ScheduleConfig
from vision.config import load_settings

SHIPPED = run.ROOT / "configs" / "schedule.yaml"
HEAVY = "zenml", "tensorflow", "keras", "sklearn", "bentoml", "evidently", "pandas", "matplotlib", "scipy"


def test_the_shipped_schedule_starts_monitoring_and_retraining_by_commands_that_exist() -> None:
    config = load_settings(ScheduleConfig, SHIPPED)
    commands = find_commands(config, ProjectPaths.of(run.ROOT))
    assert {job.pipeline for job in config.jobs.values()} == {"monitoring", "retraining"}
    for name, job in config.jobs.items():
        assert job.pipeline in run.PIPELINES
        options = run.build_parser().parse_args([str(part) for part in commands[name][2:]])
        assert options.pipeline == job.pipeline
        assert options.config == str(run.ROOT / "configs" / "fast.yaml")


def test_schedule_asks_for_its_config(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run.main(["schedule"])
    assert caught.value.code == 2
    assert "schedule needs --config" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("flag", "words"), [("--once", "is new"), ("--status", "No scheduler lives")])
def test_a_waiting_scheduler_imports_nothing_heavy(flag: str, words: str, tmp_path: Path) -> None:
    """What waits for days between runs: the same imports as `run.py schedule` without a flag."""
    script = (
        f"import sys; import run; code = run.main(['schedule', '--config', 'schedule.yaml', '{flag}']);"
        f"heavy = sorted(set(sys.modules) & set({HEAVY!r})); print('heavy:', heavy); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=run.ROOT,
        env=os.environ | {"TAXON_STATE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "heavy: []" in done.stdout
    assert words in done.stdout + done.stderr

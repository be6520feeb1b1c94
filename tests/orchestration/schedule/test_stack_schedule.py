"""What is handed to an orchestrator that keeps schedules, tried on a real local store by the command line."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from steps.loop.run_command import run_command
from vision.base.errors import JobError

ROOT = Path(__file__).resolve().parents[3]
USE_STACK = "schedule", "--config", "schedule.yaml", "--set", "use_stack=true"


def call(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "TAXON_STATE": str(state)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_schedules_are_handed_over_once_edited_ones_refused_and_a_failure_leaves_none(tmp_path: Path) -> None:
    report = tmp_path / "seen.json"
    done = call(tmp_path, "-m", "tests.orchestration.schedule.stack_schedule_toy", str(report))
    assert done.returncode == 0, done.stderr
    seen = json.loads(report.read_text(encoding="utf-8"))
    assert seen["local_keeps"] == ["default", False]
    assert "does not support scheduling" in seen["local"]
    assert seen["failed"] == "no image"
    assert seen["local_left"] == seen["failed_left"] == []
    assert seen["keeps"] == ["keeper", True]
    assert seen["made"] == ["taxon-watch"]
    assert seen["again"] == []
    assert seen["entered"] == [["taxon-watch", "0 3 * * *"]]
    assert seen["edited"] == (
        "jobs.watch.cron is '0 4 * * *', but the orchestrator keeps schedule taxon-watch with '0 3 * * *'. "
        "Delete that one, then hand over again: zenml pipeline schedule delete taxon-watch"
    )
    assert seen["edited_left"] == seen["entered"]
    assert seen["edited_again"] == ["taxon-watch", "taxon-other"]
    assert sorted(seen["edited_entered"]) == [["taxon-other", "0 3 * * *"], ["taxon-watch", "0 4 * * *"]]
    command = ["--pipeline", "monitoring", "--config", "configs/fast.yaml"]
    assert seen["handed"]["taxon-other"] == {"arguments": command, "max_hours": 24.0, "stop_seconds": 30}
    told = done.stdout + done.stderr
    assert seen["job"].startswith(f"python run.py {' '.join(command)} ended with exit code 2")
    assert "No model reef-fast is in production" in told
    assert "it is marked failed" not in told  # the run that the job is part of was not taken for a dead one

    handed = call(tmp_path, "run.py", *USE_STACK)
    assert handed.returncode == 0, handed.stderr
    assert "Orchestrator keeper keeps the schedule. New there: taxon-monitoring, taxon-retraining." in (
        handed.stdout + handed.stderr
    )
    assert not (tmp_path / "state" / "schedule").exists()
    again = call(tmp_path, "run.py", *USE_STACK)
    assert (again.returncode, "New there: nothing." in again.stdout + again.stderr) == (0, True)
    status = call(tmp_path, "run.py", *USE_STACK, "--status")
    assert "what an orchestrator keeps tells zenml pipeline schedule list" in re.sub(
        r"\s+", " ", status.stdout
    )


@pytest.mark.slow
def test_where_the_stack_keeps_no_schedules_the_jobs_run_here_and_that_is_said(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "run.py", *USE_STACK]
    environment = {**os.environ, "TAXON_STATE": str(tmp_path)}
    with log.open("wb") as file, subprocess.Popen(command, cwd=ROOT, env=environment, stderr=file) as process:
        for _ in range(600):
            if process.poll() is not None or b"The scheduler keeps 2 jobs" in log.read_bytes():
                break
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    told = log.read_text(encoding="utf-8")
    assert "Orchestrator default of the active stack keeps no schedules, so the jobs run here." in told
    assert "The scheduler keeps 2 jobs" in told


def test_a_config_outside_the_project_is_not_handed_over(tmp_path: Path) -> None:
    (tmp_path / "far.yaml").write_text("", encoding="utf-8")
    script = (
        "from pathlib import Path; from orchestration.session.paths import ProjectPaths;"
        "from orchestration.schedule.config import ScheduleConfig;"
        "from orchestration.schedule.stack_schedule import make_submit;"
        f"job = dict(pipeline='monitoring', config={str(tmp_path / 'far.yaml')!r}, cron='0 3 * * *');"
        "make_submit(ScheduleConfig.model_validate(dict(jobs=dict(far=job))), ProjectPaths.of(Path.cwd()))"
    )
    done = call(tmp_path, "-c", script)
    assert "jobs.far.config is" in done.stderr
    assert "Put it into configs/." in done.stderr


def test_a_job_that_takes_too_long_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run.py").write_text("import time; time.sleep(60)", encoding="utf-8")
    monkeypatch.setattr("steps.loop.run_command.ROOT", tmp_path)
    with pytest.raises(JobError, match=r"was stopped: over max_hours, 0\.0001"):
        run_command.entrypoint(["--pipeline", "monitoring"], 0.0001, 5)
    (tmp_path / "run.py").write_text("raise SystemExit(3)", encoding="utf-8")
    run_command.entrypoint([], 1.0, 5)  # a gate refused: a verdict

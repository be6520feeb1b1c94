"""What is handed to an orchestrator that keeps schedules, tried on a real local store."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_schedules_are_handed_over_once_edited_ones_refused_and_a_failure_leaves_none(tmp_path: Path) -> None:
    report = tmp_path / "seen.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.orchestration.stack_schedule_toy", str(report)],
        cwd=ROOT,
        env={**os.environ, "TAXON_STATE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(report.read_text(encoding="utf-8"))
    assert seen["keeps"] is False
    assert "does not support scheduling" in seen["local"]
    assert seen["failed"] == "no image"
    assert seen["local_left"] == seen["failed_left"] == []
    assert seen["made"] == 0
    assert "keeps the schedule. New there: taxon-watch." in done.stdout + done.stderr
    assert seen["again"] == []
    assert seen["entered"] == [["taxon-watch", "0 3 * * *"]]
    assert seen["edited"] == (
        "jobs.watch.cron is '0 4 * * *', but the orchestrator keeps schedule taxon-watch with '0 3 * * *'. "
        "Delete that one, then hand over again: zenml pipeline schedule delete taxon-watch"
    )
    assert seen["edited_left"] == seen["entered"]
    assert seen["edited_again"] == ["taxon-watch", "taxon-other"]
    assert sorted(seen["edited_entered"]) == [["taxon-other", "0 3 * * *"], ["taxon-watch", "0 4 * * *"]]

"""A project is copied and moved while a training is going, with real processes."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.orchestration.test_store import wait_for
from tests.processes import module_command, run_python

pytestmark = [pytest.mark.slow, pytest.mark.long]

ROOT = Path(__file__).resolve().parents[3]
TOY = module_command("tests.orchestration.toy")


def visit(home: Path, name: str, content: str) -> dict[str, Any]:
    """Run the toy once in a project; what the project knows then."""
    report = home / "seen.json"
    environment = os.environ | {"TAXON_STATE": str(home)}
    subprocess.run([*TOY, "visit", name, content, str(report)], cwd=ROOT, env=environment, check=True)
    seen: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return seen


@contextmanager
def training(home: Path, flag: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A training that has finished a step and waits in the next until the flag is removed."""
    environment = os.environ | {"TAXON_STATE": str(home), "TOY_HANG": str(flag)}
    command = [*TOY, "run", "first", "b", "promoted"]
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        try:
            wait_for(flag.exists, process)
            yield process
        finally:
            process.kill()


def test_copy_is_a_project_of_its_own_and_a_moved_one_goes_on(tmp_path: Path) -> None:
    home, copy, moved, flag = (tmp_path / name for name in ("home", "copy", "moved", "flag"))
    with training(home, flag) as process:
        shutil.copytree(home, copy, symlinks=True)
        seen = visit(copy, "own", "b")
        assert seen["reaped"] == ["first"]
        assert seen["runs"] == {"first": "failed", "own": "completed"}
        assert seen["steps"]["ingest"] == "cached"  # decoded images and finished steps came along
        assert seen["bundle"].startswith(f"{copy}/")
        assert process.poll() is None
        flag.unlink()
        assert process.wait(timeout=60) == 0
    home.rename(moved)
    seen = visit(moved, "again", "b")
    assert seen["reaped"] == []
    assert seen["runs"] == {"first": "completed", "again": "completed"}
    assert {seen["steps"][name] for name in ("ingest", "validate", "compare", "assemble")} == {"cached"}
    assert seen["champions"] == ["1"]
    assert seen["bundle"].startswith(f"{moved}/")
    assert not home.exists()
    stored = b"".join(path.read_bytes() for path in (moved / "state").rglob("record.json"))
    assert str(tmp_path).encode() not in stored


def test_project_that_is_moved_while_a_training_is_going_is_left_to_it(tmp_path: Path) -> None:
    home, moved, flag = (tmp_path / name for name in ("home", "moved", "flag"))
    with training(home, flag):
        home.rename(moved)
        refused = run_python("run.py", "runs", code=4, TAXON_STATE=str(moved))
    assert "RunLockedError" in refused.stderr
    assert "first" in refused.stderr
    assert not home.exists()

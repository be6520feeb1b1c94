"""Two machines, each a process of its own, train what one trains; a fault ends both with the reason."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.processes import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.long]

MACHINE = "tests.vision.training.nets.fitting.machine"
PLAIN: dict[str, Any] = {"dropout": 0.0}


def start(folder: Path, changes: Mapping[str, Any], kill: int = 0, **variables: str) -> subprocess.Popen[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("TAXON_", "TF_CONFIG"))}
    arguments = [
        "-m",
        MACHINE,
        str(folder),
        json.dumps(changes),
        str(kill),
    ]
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=own | {"TF_CPP_MIN_LOG_LEVEL": "3"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, error = process.communicate(timeout=600)
    lines = out.strip().splitlines()
    assert lines, error[-6000:]
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def start_two(
    folder: Path,
    changes: Mapping[str, Any],
    other: Mapping[str, Any] | None = None,
    kills: tuple[int, int] = (0, 0),
) -> list[subprocess.Popen[str]]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in (one, two)]
    processes = []
    for index, settings in enumerate((changes, changes if other is None else other)):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        variables = {"TF_CONFIG": json.dumps(task), "TAXON_WAIT_SECONDS": "300"}
        processes.append(start(folder / str(index), settings, kills[index], **variables))
    return processes


def run_two(folder: Path, *arguments: Any, **more: Any) -> list[dict[str, Any]]:
    return [finish(each) for each in start_two(folder, *arguments, **more)]


def flat(found: Mapping[str, Any]) -> list[float]:
    return [value for name in ("losses", "logits") for row in found[name] for value in row]


@pytest.mark.parametrize("rich", [{}, {"weight_averaging": 0.9, "clip_norm": 1.0, "schedule": "plateau"}])
def test_two_machines_train_what_one_trains_with_the_same_batch(tmp_path: Path, rich: dict[str, Any]) -> None:
    alone = finish(start(tmp_path / "alone", PLAIN | rich))
    one, two = run_two(tmp_path, PLAIN | rich)
    assert one["device"].startswith("2 machines, each CPU")
    assert flat(one) == flat(two)
    # Rounding differs from the first step on, and Adam's first steps enlarge it.
    assert one["losses"][0] == pytest.approx(alone["losses"][0], rel=1e-4)
    assert flat(one) == pytest.approx(flat(alone), abs=0.01)


def test_a_machine_that_dies_ends_the_other_and_both_go_on_from_the_checkpoint(tmp_path: Path) -> None:
    unbroken = run_two(tmp_path / "unbroken", PLAIN)[0]
    leader, worker = start_two(tmp_path, PLAIN, kills=(0, 7))
    assert "again" in finish(leader)["error"]
    worker.communicate(timeout=300)
    assert worker.returncode == 9
    assert list((tmp_path / "0" / "checkpoint").iterdir())
    resumed, other = run_two(tmp_path, PLAIN)
    assert resumed["logits"] == unbroken["logits"] == other["logits"]


def test_other_settings_on_a_machine_are_refused_by_both(tmp_path: Path) -> None:
    for found in run_two(tmp_path, PLAIN, PLAIN | {"seed": 4}):
        assert "other settings or data on machine 1" in found["error"]


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    for found in run_two(tmp_path, PLAIN | {"batch_size": 7}):
        assert "multiple of the 2 machines" in found["error"]

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
from tests.vision.training.nets.fitting import machine
from tests.vision.training.nets.toy import KERAS_WARNINGS

pytestmark = [pytest.mark.slow, pytest.mark.long, KERAS_WARNINGS]

PLAIN: dict[str, Any] = {"backbone": "cnn", "dropout": 0.0}
RICH: dict[str, Any] = {"weight_averaging": 0.9, "clip_norm": 1.0, "schedule": "plateau"}


def start(folder: Path, changes: Mapping[str, Any], kill: int = 0, **variables: str) -> subprocess.Popen[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("TAXON_", "TF_CONFIG"))}
    arguments = [
        "-m",
        machine.__name__,
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


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What both machines say of a plain training."""
    return run_two(tmp_path_factory.mktemp("unbroken"), PLAIN)


@pytest.mark.parametrize("rich", [{}, RICH], ids=["plain", "rich"])
def test_two_machines_train_what_one_trains_with_the_same_batch(
    tmp_path: Path, rich: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    alone = machine.train(tmp_path / "alone", PLAIN | rich, kill=0)
    one, two = run_two(tmp_path, PLAIN | rich) if rich else request.getfixturevalue("unbroken")
    assert one["device"].startswith("2 machines, each CPU")
    assert flat(one) == flat(two)
    # Rounding differs from the first step on, and Adam's first steps enlarge it.
    assert one["losses"][0] == pytest.approx(alone["losses"][0], rel=1e-4)
    assert flat(one) == pytest.approx(flat(alone), abs=0.01)


def test_a_machine_that_dies_ends_the_other_and_both_go_on_from_the_checkpoint(
    tmp_path: Path, unbroken: list[dict[str, Any]]
) -> None:
    leader, worker = start_two(tmp_path, PLAIN, kills=(0, 7))
    assert "again" in finish(leader)["error"]
    worker.communicate(timeout=300)
    assert worker.returncode == 9
    assert list((tmp_path / "0" / "checkpoint").iterdir())
    resumed, other = run_two(tmp_path, PLAIN)
    assert resumed["logits"] == unbroken[0]["logits"] == other["logits"]


def test_other_settings_on_a_machine_are_refused_by_both(tmp_path: Path) -> None:
    for found in run_two(tmp_path, PLAIN, PLAIN | {"seed": 4}):
        assert "other settings or data on machine 1" in found["error"]


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    for found in run_two(tmp_path, PLAIN | {"batch_size": 7}):
        assert "multiple of the 2 machines" in found["error"]

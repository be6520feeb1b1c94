"""A machine that helps another train ends with its run, and tells a run that ended from one that is gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from tests.processes import ROOT
from tests.vision.training.test_machines import free_addresses
from vision.base.errors import TrainingError
from vision.training.nets.fitting.worker import assist


class _Told:
    """Stands for a cluster whose machine 0 says this."""

    def __init__(self, *words: bytes | Exception) -> None:
        self.words = list(words)

    def gather(self, _own: bytes) -> list[bytes]:
        word = self.words.pop(0)
        if isinstance(word, Exception):
            raise word
        return [word, b""]


GONE = tf.errors.UnavailableError(None, None, "task 0 is gone")


def test_a_run_that_ends_says_so_and_one_that_is_gone_is_an_error() -> None:
    for heard in (b"", GONE):  # it may be gone before it is told that this was heard
        cluster: Any = _Told(b"", heard)
        assert assist(cluster) == 0
        assert cluster.words == []
    lost: Any = _Told(GONE)
    with pytest.raises(TrainingError, match=r"machine 0 is gone.*task 0"):
        assist(lost)


LEADER = """
import os, sys
from vision.training.nets.fitting.worker import meet
meet()
if sys.argv[1] == "killed":
    os._exit(9)
"""


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(("end", "code", "told"), [("ended", 0, "ended its run"), ("killed", 1, "is gone")])
def test_a_worker_ends_as_the_run_of_machine_0_does(end: str, code: int, told: str, tmp_path: Path) -> None:
    addresses = free_addresses(2)
    task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": 0}}
    env = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "TAXON_STATE": str(tmp_path)}
    words = [sys.executable, "run.py", "worker", "--machines", ",".join(addresses)]
    with subprocess.Popen(words, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True) as worker:
        leader = [sys.executable, "-c", LEADER, end]
        subprocess.run(leader, cwd=ROOT, env=env | {"TF_CONFIG": json.dumps(task)}, check=False, timeout=120)
        assert told in worker.communicate(timeout=120)[1]
    assert worker.returncode == code

"""A reader that goes away, a full disk or a closed descriptor ends no command and changes no exit code."""

from __future__ import annotations

import subprocess
import sys

import pytest

import run

SPEAKING = """
import sys
from orchestration.session.streams import forgive_lost_readers
forgive_lost_readers()
for _ in range(20_000):
    print('a line of some length that fills the pipe')
    sys.stderr.write('a complaint\\\\n')
sys.exit(3)
"""


@pytest.mark.parametrize(
    ("redirection", "told"),
    [
        ("| head -1", 0),
        ("2>&1 | head -1", 0),
        (">/dev/full 2>&1", 0),
        (">/dev/full", 1),
        (">&-", 0),
        ("2>&-", 0),
        (">&- 2>&-", 0),
        ("<&-", 0),
    ],
)
def test_the_exit_code_is_the_commands_own(redirection: str, told: int) -> None:
    script = f'set -o pipefail; "{sys.executable}" -c "{SPEAKING}" {redirection}'
    done = subprocess.run(["bash", "-c", script], cwd=run.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    assert done.stderr.count("could not be written: No space left on device") == told

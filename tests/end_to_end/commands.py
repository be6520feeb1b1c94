"""Commands of one project, each a fork of a process that has imported what they need: seconds less for each.

Their CPU time is counted when that process ends, after the last of the tests that share it.

python -m tests.end_to_end.commands     takes a line of JSON for each command and answers it with another
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
MOST_SECONDS = 900
HEAVY = (
    "zenml.client",
    "orchestration.flows.training",
    "orchestration.flows.retraining",
    "pipelines.training",
    "report.figures",
    "evidently.presets",
    "vision.training.nets.export",
    "vision.training.nets.tuning",
)


class Commands:
    """The process, started when it is first asked."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], output: Path) -> int:
        """Exit code of a command, whose words go to the file `output`; the first environment stays."""
        if self._process is None:
            words = [sys.executable, "-m", "tests.end_to_end.commands"]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                words, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([arguments, str(output)]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.communicate()


def carry_out(arguments: list[str], output: str) -> NoReturn:
    """Become the process of a command."""
    import run
    from orchestration.session.streams import forgive_lost_readers

    signal.alarm(MOST_SECONDS)
    with Path(output).open("wb") as words, Path(os.devnull).open("rb") as nothing:
        for file, number in ((nothing, 0), (words, 1), (words, 2)):
            os.dup2(file.fileno(), number)
    forgive_lost_readers()
    sys.exit(run.main(arguments))


def main() -> None:
    """Import, then fork for each command."""
    from orchestration.session.environment import import_quickly, prepare_environment
    from orchestration.session.paths import ProjectPaths
    from tests.processes import spare_disks

    prepare_environment(ProjectPaths.of(ROOT))
    with import_quickly():
        for name in HEAVY:
            import_module(name)
    spare_disks()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            carry_out(*json.loads(line))
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

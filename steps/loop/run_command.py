"""Run the project's command line where an orchestrator put this step, as a process of its own."""

import signal
import subprocess
import sys
from pathlib import Path

from zenml import step

from vision.base.errors import GateError, JobError

ROOT = Path(__file__).resolve().parents[2]


@step(enable_cache=False)
def run_command(arguments: list[str], max_hours: float, stop_seconds: int) -> None:
    """Run `python run.py ARGUMENTS`; that a gate refused (exit code 3) is a verdict, and no failure.

    Raises:
        JobError: it ended with another exit code than 0 or 3, or was stopped after `max_hours`.
    """
    told = f"python run.py {' '.join(arguments)}"
    with subprocess.Popen([sys.executable, str(ROOT / "run.py"), *arguments], cwd=ROOT) as process:
        try:
            code = process.wait(max_hours * 3600)
        except subprocess.TimeoutExpired as error:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(stop_seconds)
            except subprocess.TimeoutExpired:
                process.kill()
            raise JobError(
                f"{told} was stopped: over max_hours, {max_hours:g}. Raise it if that was right."
            ) from error
    if code not in (0, GateError.exit_code):
        raise JobError(f"{told} ended with exit code {code}, expected 0 or 3. Its output above says why.")

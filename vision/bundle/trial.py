"""Whether a graph can be run at all, found out in a process of its own.

On a graph that it cannot prepare, LiteRT 2.3 frees memory twice and takes its process along (seen for an
int8 layer whose input scale times weight scale over output scale is 256 or more, which XNNPACK refuses). What
would end a run, or a service, ends the trial alone.
"""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from vision.base.errors import BundleError
from vision.bundle.engine import Engine

_ROOT = Path(__file__).resolve().parents[2]
_BATCHES = (1, 2)
_TIMEOUT_SECONDS = 120


def find_fault(graph: Path) -> str | None:
    """Why the graph at this path cannot be run, in words; None where it can.

    It is loaded and given one image, then two, since preparing it anew for another batch can fail as well.
    """
    runtime = "ONNX Runtime" if graph.suffix == ".onnx" else "LiteRT"
    command = [sys.executable, "-m", "vision.bundle.trial", str(graph.resolve())]
    try:
        done = subprocess.run(
            command, cwd=_ROOT, capture_output=True, text=True, check=False, timeout=_TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"{runtime} gave no answer to one image within {_TIMEOUT_SECONDS} seconds"
    if done.returncode == 0:
        return None
    said = done.stderr.strip().splitlines() or ["nothing"]
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return f"{runtime} died of {name} when it was tried; it said: {said[-1]}"
    return f"{runtime} refused it; it said: {said[-1]}"


def main(graph: Path) -> int:
    """Run the graph on grey images; the exit code."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a death that is expected here leaves no core file
    try:
        engine = Engine(graph)
        for number in _BATCHES:
            engine.forward(np.full((number, engine.image_size, engine.image_size, 3), 128, np.uint8))
    except (BundleError, RuntimeError, ValueError) as error:
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

"""Commands in a process of their own that tells which heavy libraries they imported."""

import os
import subprocess
import sys
from pathlib import Path

import run

HEAVY = "zenml", "tensorflow", "keras", "sklearn", "bentoml", "evidently", "pandas", "matplotlib", "scipy"


def run_and_list_imports(arguments: list[str], home: Path, code: int = 0) -> str:
    """What a command printed, and `heavy: [...]` after it; its exit code has to be `code`."""
    script = (
        f"import sys; import run; code = run.main({arguments!r});"
        f"print('heavy:', sorted(set(sys.modules) & set({HEAVY!r}))); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=run.ROOT,
        env=os.environ | {"TAXON_STATE": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr

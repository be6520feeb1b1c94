"""Commands in a process of their own that tells which heavy libraries they imported."""

from pathlib import Path

from tests.processes import run_python

HEAVY = "zenml", "tensorflow", "keras", "sklearn", "bentoml", "evidently", "pandas", "matplotlib", "scipy"


def run_and_list_imports(arguments: list[str], home: Path, code: int = 0) -> str:
    """What a command printed, and `heavy: [...]` after it; its exit code has to be `code`."""
    script = (
        f"import sys; import run; code = run.main({arguments!r});"
        f"print('heavy:', sorted(set(sys.modules) & set({HEAVY!r}))); sys.exit(code)"
    )
    done = run_python("-c", script, code=code, TAXON_STATE=str(home))
    return done.stdout + done.stderr

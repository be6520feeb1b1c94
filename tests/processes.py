"""Python in a process of its own, as tests of imports, kills and whole stories need it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_QUICKLY = """
import atexit, gc, runpy, sys
from tests.processes import spare_disks
gc.disable()
atexit.register(gc.freeze)
spare_disks()
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def module_command(module: str, *arguments: str) -> list[str]:
    """`python -m MODULE ARGUMENTS`, in which no commit to a database waits and no garbage is collected.

    A story makes a thousand commits, and of ZenML's million objects all stay.
    """
    return [sys.executable, "-c", _QUICKLY, module, *arguments]


def spare_disks() -> None:
    """Let SQLite databases of this process wait for no disk: they have to outlive kills, not the machine."""
    from sqlalchemy import Engine, event

    event.listen(Engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))


def run_python(*arguments: str, code: int | None = 0, **variables: str) -> subprocess.CompletedProcess[str]:
    """What `python ARGUMENTS` printed in the repository, without the user's settings of Taxon.

    Its exit code has to be `code`, if one is given; `variables` are added to its environment.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("TAXON_")}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=own | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert code is None or done.returncode == code, done.stdout[-3000:] + done.stderr[-6000:]
    return done


def play_story(module: str, home: Path) -> tuple[dict[str, Any], str]:
    """What a module that is run on the state folder `home` writes into `seen.json`, and what it printed."""
    command = module_command(module, str(home / "seen.json"))
    done = run_python(*command[1:], TAXON_STATE=str(home), TF_CPP_MIN_LOG_LEVEL="3")
    seen: dict[str, Any] = json.loads((home / "seen.json").read_text(encoding="utf-8"))
    return seen, done.stderr

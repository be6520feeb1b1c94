"""What takes seconds to make is made once for all processes of a run of the tests."""

from __future__ import annotations

import fcntl
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

FOLDER = "FOLDER_OF_TOYS"
"""The variable that names the folder; processes that a test starts inherit it."""

T = TypeVar("T")


def toys_folder() -> Path:
    """Where the toys of this run lie; made where there is none yet."""
    if FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="taxon-toys-")
    return Path(os.environ[FOLDER])


def make_once(name: str, make: Callable[[Path], T]) -> T:
    """What `make` gives, its files in a folder; the process that asks first makes it, the others wait."""
    folder = toys_folder() / name
    made = folder / "made.pickle"
    with (toys_folder() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            made.write_bytes(pickle.dumps(make(folder)))
    toy: T = pickle.loads(made.read_bytes())
    return toy

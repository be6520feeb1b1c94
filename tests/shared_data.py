"""Where the real images for tests lie, and what happens when they are absent."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def shared_data(name: str) -> Path:
    """The folder or file `name` of the shared data; skips the test, with the reason, where it is absent.

    With the environment variable TAXON_SHARED set, absence is a failure: a machine that promises the data
    must have it.
    """
    declared = os.environ.get("TAXON_SHARED")
    root = Path(declared) if declared else REPOSITORY.parent / "shared"
    path = root / "data" / name
    if path.exists():
        return path
    if declared:
        pytest.fail(f"TAXON_SHARED is {declared}, but {path} does not exist.")
    pytest.skip(f"needs {name} of the shared real images, which are not beside this checkout")

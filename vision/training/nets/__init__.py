"""The only room of the core with Keras."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _muted_stderr() -> Iterator[None]:
    """Drop what C++ code writes to the error stream; Python's own exceptions still arrive."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  a device, not a path
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


# TensorFlow greets with a dozen lines about CPU features, before any of its settings are read.
with _muted_stderr():
    import tensorflow as tensorflow

"""Keeps what C libraries print on standard error by themselves from the terminal."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ONE_AT_A_TIME = threading.Lock()
_STANDARD_ERROR = 2


@contextmanager
def quiet_native_log() -> Iterator[None]:
    """Drop what is written to file descriptor 2 in the block: only for calls that raise what goes wrong.

    LiteRT announces its delegate there, TensorFlow its CPU features, with no setting against it.
    """
    with _ONE_AT_A_TIME:
        try:
            kept = os.dup(_STANDARD_ERROR)
        except OSError:  # it is closed: nothing can be printed there
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, _STANDARD_ERROR)
            yield
        finally:
            os.dup2(kept, _STANDARD_ERROR)
            os.close(kept)
            os.close(nowhere)

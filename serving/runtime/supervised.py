"""A worker does not outlive its supervisor, so that no orphan keeps the port and an old model alive."""

from __future__ import annotations

import os
import signal
import threading
import time

CHECK_SECONDS = 1.0


def leave_with_supervisor() -> None:
    """Start a thread that ends this process, as SIGTERM would, once its parent process is gone."""
    thread = threading.Thread(target=_watch, args=(os.getppid(),), name="leave-with-supervisor", daemon=True)
    thread.start()


def _watch(supervisor: int) -> None:
    while os.getppid() == supervisor:
        time.sleep(CHECK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)

"""`kill PID` and a closed terminal end a command as Ctrl-C does: it cleans up and puts things back."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SAME_SECONDS = 60.0
"""How long more of these signals are taken for the first: closed terminals and impatient people repeat."""

INTERRUPTED = 128 + signal.SIGINT


class Stopped:
    """Whether a signal asked to stop, and which; also the handler.

    Attributes:
        exit_code: 128 and the signal's number, as shells say it; that of Ctrl-C until one came.
    """

    def __init__(self) -> None:
        """No signal came yet."""
        self.exit_code = int(INTERRUPTED)
        self._at = float("-inf")

    def stop(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal; repeats within SAME_SECONDS are let go by, so that the clean-up is not cut short.

        Raises:
            KeyboardInterrupt: the command has to end.
        """
        if time.monotonic() < self._at + SAME_SECONDS:
            return
        self._at = time.monotonic()
        self.exit_code = 128 + number
        for each in (signal.SIGTERM, signal.SIGHUP):  # in the place of ZenML's, which heeds every repeat
            if signal.getsignal(each) is not signal.SIG_IGN:
                signal.signal(each, self.stop)
        raise KeyboardInterrupt


@contextmanager
def stop_on_signals() -> Iterator[Stopped]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt inside the block, which only the main thread can arrange.

    What is ignored already (SIGHUP under nohup) stays ignored. Child processes begin with the system's own
    handling.
    """
    stopped = Stopped()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    former = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    former = {number: each for number, each in former.items() if each not in (signal.SIG_IGN, None)}
    for number in former:
        signal.signal(number, stopped.stop)
    try:
        yield stopped
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)

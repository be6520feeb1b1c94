"""Signals are heeded as in a terminal, though nohup and a script's `&` have some ignored."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_DEFAULTS: dict[signal.Signals, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}


@contextmanager
def heeding_signals() -> Iterator[None]:
    """No signal that ends a command is ignored inside the block, nor by what is started in it."""
    ignored = [each for each in _DEFAULTS if signal.getsignal(each) is signal.SIG_IGN]
    for each in ignored:
        signal.signal(each, _DEFAULTS[each])
    try:
        yield
    finally:
        for each in ignored:
            signal.signal(each, signal.SIG_IGN)

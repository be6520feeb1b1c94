"""Which process it was: told apart from a later one of its id, whatever the system's clock is set to."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_BY_CLOCK = "created "
_TOLERANCE_SECONDS = 0.01


def read_mark(pid: int) -> str:
    """A word for the start of a process, which no later process of that id has.

    On Linux it is the boot and the clock ticks from the boot to the start, which setting the clock does not
    move. Elsewhere it is `mark_by_clock` of the time that the system gives.

    Raises:
        psutil.NoSuchProcess: there is none.
    """
    if sys.platform == "linux" and _BOOT.is_file():
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
        except (FileNotFoundError, ProcessLookupError) as error:
            raise psutil.NoSuchProcess(pid) from error
        ticks = stat.rpartition(b")")[2].split()[19]  # the 22nd field; the second, a name, may hold spaces
        return f"{_BOOT.read_text(encoding='ascii').strip()} {ticks.decode('ascii')}"
    return mark_by_clock(psutil.Process(pid).create_time())


def mark_by_clock(created: float) -> str:
    """The mark of a process of which only the time of its start is known, in seconds since 1970."""
    return f"{_BY_CLOCK}{created!r}"


def is_by_clock(mark: str) -> bool:
    """Whether the mark is a time, so that a process may have another one after the clock was set."""
    return mark.startswith(_BY_CLOCK)


def has_mark(pid: int, mark: str) -> bool:
    """Whether the process of that id is the marked one.

    Raises:
        psutil.NoSuchProcess: there is none.
    """
    if is_by_clock(mark):
        created: float = psutil.Process(pid).create_time()
        return abs(created - float(mark.removeprefix(_BY_CLOCK))) < _TOLERANCE_SECONDS
    return read_mark(pid) == mark

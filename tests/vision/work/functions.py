"""What workers of the tests do; light to import, for every worker does it."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path


def double(items: Sequence[int]) -> list[int]:
    return [2 * item for item in items]


def die_on(items: Sequence[int], *, victims: frozenset[int]) -> list[int]:
    if victims & set(items):
        os.kill(os.getpid(), signal.SIGKILL)
    return double(items)


def die_once(items: Sequence[int], *, marker: Path) -> list[int]:
    if 5 in items and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return double(items)


def refuse(items: Sequence[int]) -> list[int]:
    if 5 in items:
        raise KeyError("five")
    return double(items)


def tell_pid(items: Sequence[Path]) -> list[int]:
    items[0].write_text(str(os.getpid()))
    time.sleep(60)
    return [os.getpid()]


def die_at_start(_pipe: object) -> None:
    os._exit(3)


_held: list[bytes] = []


def hold_memory(items: Sequence[int]) -> list[int]:
    """Keeps 300 MB that are never given back."""
    if not _held:
        _held.append(b"1" * 300_000_000)
        time.sleep(1)  # so that its worker notices
    return double(items)

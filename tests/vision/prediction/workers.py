"""What workers of the tests do beside answering; light to import, for every worker does it."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from vision.prediction.engines import Answered, Asking, answer_items
from vision.prediction.items import Item

POISON = "grey_7.png"


def answer_poisoned(asking: Asking, items: Sequence[Item]) -> list[Answered]:
    if any(each.path.endswith(POISON) for each in items):
        os._exit(9)
    return answer_items(asking, items)


def answer_and_die_once(asking: Asking, items: Sequence[Item], *, marker: Path) -> list[Answered]:
    answered = answer_items(asking, items)
    if any(each.path.endswith(POISON) for each in items) and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return answered


def tell_worker(asking: Asking, items: Sequence[Item]) -> list[tuple[int, float, list[str]]]:
    """Of each item: the process that answered it, its memory in MB, and what it has imported."""
    answer_items(asking, items)
    memory = psutil.Process().memory_info().rss / 1e6
    return [(os.getpid(), memory, sorted(sys.modules))] * len(items)

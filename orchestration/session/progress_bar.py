"""A bar on standard error while pictures are read or fetched; it goes when the work is done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

BAR = 24
"""Characters."""


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[..., None]]:
    """What it gives is told (done, total), and as `what=` another description; a total of 0 is not known."""
    columns = (TextColumn("{task.description}"), BarColumn(BAR), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def tell(done: int, total: int, what: str | None = None) -> None:
            bar.update(task, completed=done, total=total or None, description=what)

        yield tell

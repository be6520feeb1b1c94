"""A run as it goes, for a person: step 5 of 31, what it does, how long it all will take.

On a terminal two lines are drawn again and again below what is printed; elsewhere each step is one line.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from logging import LogRecord

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestration.session.estimate import READING, Estimate
from orchestration.session.steps import describe_step
from vision.base.progress import FIELD, Progress, in_words

LOGGERS = ("zenml.orchestrators.step_launcher", "zenml.orchestrators.step_run_utils")
"""They say which step starts, ends or is taken from the cache; ZenML has no other sign of it."""
EVENT = re.compile(
    r"(?:Step|Using cached version of step) `(?P<step>[^`]+)`(?: has (?P<event>started|finished))?"
)
WORTH_A_LINE = 1.0
"""Seconds from which a finished step keeps a line on a terminal."""
PLAIN_SECONDS = 15.0
"""Where there is no terminal, a step says how far it is no more often."""


class RunView:
    """What is known of a going run, and how it is shown.

    Args:
        console: where to.
        steps: names of all steps of the run; asked once the first has started.
        estimate: the time left.
        clock: seconds.
    """

    def __init__(
        self,
        console: Console,
        steps: Callable[[], Sequence[str]],
        estimate: Estimate,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console, self._steps, self._estimate, self._clock = console, steps, estimate, clock
        self._lock = threading.RLock()
        self._done: list[str] = []
        self._reused = 0
        self._going = ""
        self._began = self._spoke = 0.0
        self._progress: Progress | None = None
        self.drawn = console.is_terminal and not console.is_dumb_terminal

    def take(self, record: LogRecord) -> bool:
        """Whether a log record is about the run's progress, which is then shown."""
        with self._lock:
            progress = getattr(record, FIELD, None)
            if isinstance(progress, Progress):
                self._report(progress)
                return True
            if record.name not in LOGGERS:
                return False
            found = EVENT.match(record.getMessage())
            if found is None:
                return False
            events = {"started": self._begin, "finished": self._finish, None: self._reuse}
            events[found["event"]](found["step"])
            return True

    def __rich__(self) -> RenderableType:
        """The lines that are drawn: the step, a bar, the time left; and what the step says of itself."""
        with self._lock:
            if not self._going:
                return Text("")
            names = self._steps()
            grid = Table.grid(padding=(0, 2))
            grid.add_row(
                Text(f"Step {self._number} of {len(names)}", style="bold"),
                ProgressBar(total=len(names), completed=self._number - 1, width=16, complete_style="green"),
                Text(self._words, overflow="ellipsis", no_wrap=True),
                Text(str(self._left()), style="cyan", no_wrap=True),
            )
            passed = in_words(self._clock() - self._began)
            detail = self._progress.told if self._progress else ""
            return Group(grid, Text(f"  {passed}  {detail}", style="dim", overflow="ellipsis", no_wrap=True))

    @property
    def _number(self) -> int:
        return len(self._done) + 1

    @property
    def _words(self) -> str:
        return describe_step(self._going).words

    def _left(self) -> object:
        waiting = [each for each in self._steps() if each not in self._done and each != self._going]
        told = self._progress.seconds_left if self._progress else None
        return self._estimate.left(self._going, self._clock() - self._began, told, waiting)

    def _begin(self, step: str) -> None:
        if self._reused:
            self._print(f"{self._reused} finished steps of earlier runs are used again.")
            self._reused = 0
        self._going, self._progress = step, None
        self._began = self._spoke = self._clock()
        if not self.drawn:
            self._print(f"Step {self._number} of {len(self._steps())}: {self._words} ({self._left()})")

    def _finish(self, step: str) -> None:
        seconds = self._clock() - self._began
        self._estimate.finish(step, seconds)
        if self.drawn and seconds >= WORTH_A_LINE:
            self._print(f"{describe_step(step).words}: {in_words(seconds)}", mark=True)
        self._done.append(step)
        self._going = ""

    def _reuse(self, step: str) -> None:
        self._done.append(step)
        self._reused += 1

    def _report(self, progress: Progress) -> None:
        self._progress = progress
        if self._going == READING and progress.total:
            self._estimate.count_images(progress.total)
        if not self.drawn and self._clock() - self._spoke >= PLAIN_SECONDS:
            self._spoke = self._clock()
            self._print(f"  {progress.told} ({self._left()})")

    def _print(self, line: str, *, mark: bool = False) -> None:
        text = Text.assemble(("✓ ", "green"), line) if mark else Text(line)
        self._console.print(text, soft_wrap=True)


@contextmanager
def draw(view: RunView, console: Console) -> Iterator[None]:
    """Draw a view on a terminal until the block ends; elsewhere it prints lines by itself."""
    if not view.drawn:
        yield
        return
    with Live(view, console=console, refresh_per_second=4, transient=True):
        yield

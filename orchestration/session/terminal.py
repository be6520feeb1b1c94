"""What a run prints: its progress and its own words, errors of all, and nothing else of any library.

What ZenML says beyond that stays in the logs that ZenML stores, which the dashboard shows.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO, cast

from rich.console import Console
from rich.text import Text

from orchestration.session.streams import ForgivingStream
from orchestration.session.view import RunView, draw

OURS = ("vision", "orchestration", "steps", "pipelines", "materializers", "report", "serving")


class Terminal(logging.StreamHandler[TextIO]):
    """Prints log records for a person; `view` takes those that are about the going run's progress."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.console = Console(file=stream, highlight=False)
        self.view: RunView | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record, if it is for a person."""
        if self.view is not None and self.view.take(record):
            return
        ours = record.name.partition(".")[0] in OURS
        if record.levelno < (logging.INFO if ours else logging.ERROR):
            return
        style = (
            "red" if record.levelno >= logging.ERROR else "yellow" if record.levelno > logging.INFO else ""
        )
        self.console.print(Text(self.format(record), style=style), soft_wrap=True)


@contextmanager
def open_terminal() -> Iterator[Terminal]:
    """Print a run's words on standard error, in the place of ZenML's own handler, until the block ends."""
    from zenml.logger import ZenMLConsoleHandler

    former = [each for each in logging.root.handlers if isinstance(each, ZenMLConsoleHandler)]
    # A stream of its own: ZenML puts the step's name before, and stores, what goes through sys.stderr.
    with os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace") as stream:
        terminal = Terminal(cast(TextIO, ForgivingStream(stream)))
        for handler in former:
            logging.root.removeHandler(handler)
        logging.root.addHandler(terminal)
        try:
            yield terminal
        finally:
            logging.root.removeHandler(terminal)
            for handler in former:
                logging.root.addHandler(handler)


@contextmanager
def show_run(make_view: Callable[[Console], RunView]) -> Iterator[None]:
    """Show a run's progress on the open terminal until the block ends; nothing where none is open."""
    terminal = next((each for each in logging.root.handlers if isinstance(each, Terminal)), None)
    if terminal is None:
        yield
        return
    terminal.view = make_view(terminal.console)
    try:
        with draw(terminal.view, terminal.console):
            yield
    finally:
        terminal.view = None


@contextmanager
def spare_terminal(foreseen: Callable[[BaseException], bool]) -> Iterator[list[BaseException]]:
    """Keep ZenML from printing exceptions that were foreseen, or Ctrl-C; to be used by who tells them.

    ZenML logs what ends a step twice, the second time with a traceback. Its handler that stores logs for the
    dashboard is left as it is, and so are its words on all other exceptions.

    Args:
        foreseen: whether the exception that ended a step says all there is to say.

    Yields:
        Exceptions that were printed with their traceback.
    """
    printed: list[BaseException] = []

    def says_more(record: logging.LogRecord) -> bool:
        if not record.name.startswith("zenml.") or record.levelno < logging.ERROR:
            return True
        about = [*(record.exc_info or ()), *(record.args if isinstance(record.args, tuple) else ())]
        errors = [each for each in about if isinstance(each, BaseException)]
        if any(isinstance(each, KeyboardInterrupt) or foreseen(each) for each in errors):
            return False
        if record.exc_info:
            printed.extend(errors)
        return True

    streams = [each for each in logging.root.handlers if isinstance(each, logging.StreamHandler)]
    printing = [each for each in streams if not isinstance(each, logging.FileHandler)]
    for handler in printing:
        handler.addFilter(says_more)
    try:
        yield printed
    finally:
        for handler in printing:
            handler.removeFilter(says_more)

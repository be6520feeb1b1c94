"""A run that refuses prints its refusal alone; what ZenML says of it stays in the logs that ZenML stores."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class _Refusals(logging.Filter):
    """Stops what ZenML says of an exception that was foreseen, its traceback included."""

    def __init__(self, foreseen: Callable[[BaseException], bool]) -> None:
        super().__init__()
        self.foreseen = foreseen
        self.printed: list[BaseException] = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be printed."""
        if not record.name.startswith("zenml.") or record.levelno < logging.ERROR:
            return True
        about = [*(record.exc_info or ()), *(record.args if isinstance(record.args, tuple) else ())]
        errors = [each for each in about if isinstance(each, BaseException)]
        if any(self.foreseen(each) for each in errors):
            return False
        if record.exc_info:
            self.printed += errors
        return True


@contextmanager
def spare_terminal(foreseen: Callable[[BaseException], bool]) -> Iterator[list[BaseException]]:
    """Keep ZenML from printing exceptions that were foreseen; to be used by who tells them.

    ZenML logs what ends a step twice, the second time with a traceback. Its handler that stores logs for the
    dashboard is left as it is, and so are its words on all other exceptions.

    Args:
        foreseen: whether the exception that ended a step says all there is to say.

    Yields:
        Exceptions that were printed with their traceback.
    """
    refusals = _Refusals(foreseen)
    streams = [each for each in logging.root.handlers if isinstance(each, logging.StreamHandler)]
    printing = [each for each in streams if not isinstance(each, logging.FileHandler)]
    for handler in printing:
        handler.addFilter(refusals)
    try:
        yield refusals.printed
    finally:
        for handler in printing:
            handler.removeFilter(refusals)

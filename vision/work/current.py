"""The executor that the work of this process goes to, and the journal of what is finished.

They are no arguments of what reads and decodes: what comes out does not depend on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from vision.config.work import ExecutorSettings
from vision.work.chunks import Executor
from vision.work.journal import JOURNAL_NAME, Journal
from vision.work.processes import ProcessExecutor


@dataclass(frozen=True)
class Work:
    """Who does chunks of work.

    Attributes:
        executor: does them.
        journal: of finished chunks; None where a run that is killed begins anew.
    """

    executor: Executor
    journal: Journal | None = None


_current = [Work(ProcessExecutor())]


def current_work() -> Work:
    """Who does chunks of work now: the cores of this machine, unless `open_work` says otherwise."""
    return _current[-1]


@contextmanager
def open_work(settings: ExecutorSettings, folder: Path | None = None) -> Iterator[Work]:
    """Let an executor do the chunks of work of this block.

    Args:
        settings: which.
        folder: where finished chunks are kept until the block ends well; None: nowhere.

    Raises:
        ExecutorError: there is no cluster at the address, or its workers are of another version.
        StorageError: the folder cannot be written.
    """
    with ExitStack() as stack:
        executor = stack.enter_context(open_executor(settings))
        journal = None if folder is None else Journal(folder / JOURNAL_NAME)
        if journal is not None:
            stack.callback(journal.close)
        _current.append(Work(executor, journal))
        try:
            yield _current[-1]
        finally:
            _current.pop()
        if journal is not None:
            journal.remove()


@contextmanager
def open_executor(settings: ExecutorSettings) -> Iterator[Executor]:
    """An executor, whose cluster ends with the block if it was started for it.

    Raises:
        ExecutorError: there is no cluster at the address, or its workers are of another version.
    """
    if settings.engine == "process":
        yield ProcessExecutor(settings.workers)
        return
    from vision.work.cluster import open_cluster

    with open_cluster(settings) as executor:
        yield executor

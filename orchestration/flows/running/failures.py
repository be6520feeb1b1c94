"""What ended a run, and how it is told: a foreseen error in one sentence, a crash with one traceback."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orchestration.session.paths import ProjectPaths
from orchestration.session.terminal import spare_terminal
from vision.base.errors import StorageError, TaxonError

logger = logging.getLogger(__name__)


def tell_error(error: BaseException) -> str:
    """An exception in one line: its class and its words."""
    return f"{type(error).__name__}: {error}"


def catch_failure(paths: ProjectPaths, run_pipeline: Callable[[], object]) -> Exception | None:
    """Run a DAG; the exception that ended it, or None.

    A foreseen one is not printed, because the caller tells it. Any other is printed with its traceback, once:
    by ZenML where it ended a step, else here.
    """

    def foreseen(error: BaseException) -> bool:
        return isinstance(error, TaxonError) or _find_cause(error, paths) is not None

    try:
        with database_errors(paths), spare_terminal(foreseen) as printed:
            run_pipeline()
    except TaxonError as error:
        return error
    except Exception as error:
        if not any(each is error for each in printed):
            logger.exception("The run failed.")
        return error
    return None


@contextmanager
def database_errors(paths: ProjectPaths) -> Iterator[None]:
    """Turn SQLite's error of a full or read-only disk, with all its SQL, into one sentence.

    Raises:
        StorageError: in place of that error; any other stays as it is.
    """
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except OperationalError as error:
        cause = _find_cause(error, paths)
        if cause is None:
            raise
        raise cause from error


def _find_cause(error: BaseException, paths: ProjectPaths) -> StorageError | None:
    """What SQLite's error means for the user: the disk is full or read-only; None of any other exception."""
    from sqlalchemy.exc import OperationalError

    if not isinstance(error, OperationalError):
        return None
    told = str(error)
    if "disk is full" in told:
        return StorageError(
            f"{paths.zenml}: no space is left on the disk for ZenML's database; free some, for example "
            "with: python run.py clean --keep 3"
        )
    if "readonly database" in told:
        return StorageError(
            f"{paths.zenml}: ZenML's database cannot be written; make the folder and its files writable."
        )
    return None

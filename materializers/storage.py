"""A write that fails for lack of room or permission says so in Taxon's words, whatever the artifact store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vision.errors import StorageError


@contextmanager
def explain_failure(action: str, uri: str) -> Iterator[None]:
    """Turn an OSError inside into a StorageError that names `uri`.

    Args:
        action: what was tried, as in "writing".
        uri: the artifact's folder.

    Raises:
        StorageError: the store refused: no space, read-only, no permission, file missing.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{action} {uri} failed: {error.strerror or error}. Expected an artifact store with room that "
            "can be read and written. Free space (python run.py clean --keep N) or restore the permission; "
            "the next run goes on from the finished steps."
        ) from error

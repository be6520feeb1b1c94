"""What monitoring has judged so far: windows of answers, their verdicts, and what was deleted from the log.

A window holds only answers that came after the last window with a verdict (quiet or drift); what is
insufficient is no verdict and uses nothing up. So windows with a verdict are disjoint and follow each other.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from zenml.client import Client

from materializers.names import ArtifactName
from vision.drift.records import DriftStatus, LogTrimming, MonitoredWindow, WindowVerdict

if TYPE_CHECKING:
    from zenml.models import ArtifactVersionResponse

_JUDGED = "oneof:" + json.dumps([DriftStatus.QUIET.value, DriftStatus.DRIFT.value])


def find_windows(model_name: str, limit: int, model_digest: str | None = None) -> tuple[MonitoredWindow, ...]:
    """The newest windows with a verdict (quiet or drift), newest first.

    Args:
        model_name: as the registry calls the model.
        limit: most windows.
        model_digest: only of the bundle with this digest.

    Raises:
        StorageError: a window's record is gone from the artifact store, or altered.
    """
    return tuple(artifact.load() for artifact in list_window_artifacts(model_name, limit, model_digest))


def find_last_trimming() -> LogTrimming | None:
    """What the last monitoring run, of any data set, deleted, and by which time; None before the first.

    The last by its number, not by a clock that may have been wrong.

    Raises:
        StorageError: its record is gone from the artifact store, or altered.
    """
    found = Client().list_artifact_versions(
        artifact=ArtifactName.LOG_TRIMMING.value, sort_by="desc:version_number", size=1
    )
    trimming: LogTrimming | None = next((artifact.load() for artifact in found.items), None)
    return trimming


def list_window_artifacts(
    model_name: str, limit: int, model_digest: str | None = None
) -> tuple[ArtifactVersionResponse, ...]:
    """The artifacts of `find_windows`, not loaded."""
    wanted = [f"model_name:{model_name}", f"status:{_JUDGED}"]
    if model_digest is not None:
        wanted.append(f"model_digest:{model_digest}")
    found = Client().list_artifact_versions(
        artifact=ArtifactName.MONITORED_WINDOW.value,
        run_metadata=wanted,
        sort_by="desc:created",
        size=limit,
        hydrate=True,
    )
    return tuple(found.items)


def last_verdicts(model_name: str, limit: int) -> tuple[WindowVerdict, ...]:
    """The newest verdicts, quiet or drift, on windows of a model's answers, newest first.

    No two of them share an answer. Windows follow each other by the numbers of their answers; their times may
    overlap all the same, where answers came at once or a clock was set back. Then the later window's are
    moved on, to where the earlier one ends, so that who goes by time finds the same order.

    Args:
        model_name: as the registry calls the model; champions of all digests count.
        limit: most verdicts.

    Raises:
        StorageError: a window's record is gone from the artifact store, or altered.
    """
    return order_verdicts(find_windows(model_name, limit))


def order_verdicts(windows: tuple[MonitoredWindow, ...]) -> tuple[WindowVerdict, ...]:
    """Windows, newest first, as verdicts whose times are in order; what holds no answers is left out."""
    verdicts: list[WindowVerdict] = []
    ends: dict[str, datetime] = {}
    for window in reversed(windows):
        if window.start is None or window.end is None:
            continue
        start = max(window.start, ends.get(window.model_digest, window.start))
        end = max(window.end, start + timedelta(microseconds=1))
        ends[window.model_digest] = end
        verdicts.append(
            WindowVerdict(
                model_digest=window.model_digest,
                status=window.status,
                cause=window.cause,
                verified=window.verified,
                start=start,
                end=end,
            )
        )
    return tuple(reversed(verdicts))

"""A monitoring run: the champion's newest answers are judged, once each, and what was said can be asked for.

A window holds only answers that came after the last window with a verdict (quiet or drift); what is
insufficient is no verdict and uses nothing up. So windows with a verdict are disjoint and follow each other.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from orchestration.flows.launch import (
    Outcome,
    guard_run,
    name_run,
    record_run,
    run_known,
    write_folder,
)
from orchestration.session.paths import ProjectPaths
from pipelines.names import PipelineName
from report.figures.drift import title_drift
from serving.log.url import resolve_log_url
from vision.config.run import RunConfig
from vision.drift.records import DriftReport, DriftStatus, LogTrimming, MonitoredWindow, WindowVerdict

if TYPE_CHECKING:
    from zenml.models import ArtifactVersionResponse

_JUDGED = "oneof:" + json.dumps([DriftStatus.QUIET.value, DriftStatus.DRIFT.value])


def launch_monitoring(config: RunConfig, paths: ProjectPaths) -> Outcome:
    """Run the monitoring pipeline and write its run folder; the exit code is 0 whatever the verdict.

    Raises:
        ConfigError: no model of this name is in production; the log's URL is of a kind that is not supported.
        RunLockedError: another run is going in this folder.
        StorageError: ZenML's database cannot be written: the disk is full or read-only.
    """
    started = time.monotonic()
    run_name = name_run(f"{config.name}-{PipelineName.MONITORING}")
    with guard_run(run_name, paths):
        failure = run_known(run_name, paths, _prepare_pipeline(config, paths, run_name))
        record_run(run_name, paths, config, failure, started)
        return _project(run_name, paths, failure)


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
    from zenml.client import Client

    from materializers.names import ArtifactName

    found = Client().list_artifact_versions(
        artifact=ArtifactName.LOG_TRIMMING.value, sort_by="desc:version_number", size=1
    )
    trimming: LogTrimming | None = next((artifact.load() for artifact in found.items), None)
    return trimming


def list_window_artifacts(
    model_name: str, limit: int, model_digest: str | None = None
) -> tuple[ArtifactVersionResponse, ...]:
    """The artifacts of `find_windows`, not loaded."""
    from zenml.client import Client

    from materializers.names import ArtifactName

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


def _prepare_pipeline(config: RunConfig, paths: ProjectPaths, run_name: str) -> Callable[[], object]:
    """What runs the DAG; raises ConfigError where there is no champion."""
    from materializers.registry import find_champion
    from orchestration.store.history import missing_champion
    from pipelines.monitoring import monitoring

    log_url = resolve_log_url(config.serve.log.url, paths.home)
    champion = find_champion(config.name)
    if champion is None:
        raise missing_champion(config.name, "there are no answers to judge")
    previous = next(iter(find_windows(config.name, 1, champion.digest)), None)
    trimmed = find_last_trimming()
    return lambda: monitoring.with_options(run_name=run_name)(config, log_url, champion, previous, trimmed)


def _project(run_name: str, paths: ProjectPaths, failure: Exception | None) -> Outcome:
    """Write the run folder, and tell how the run ended."""
    from orchestration.flows.monitoring_folder import load_report, project_monitoring

    folder = paths.runs / run_name
    write_folder(run_name, paths, lambda: project_monitoring(run_name, paths))
    if failure is not None:
        return Outcome.of_failure(run_name, folder, failure)
    report = load_report(run_name)
    if report is None:
        return Outcome(run_name, folder, 1, "The run ended without a verdict; its log says why.")
    return Outcome(run_name, folder, 0, _tell(report))


def _tell(report: DriftReport) -> str:
    """The verdict in one line, and the reasons below it."""
    return "\n".join([title_drift(report), *(f"- {reason}" for reason in report.reasons)])

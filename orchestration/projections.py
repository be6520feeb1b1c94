"""Each pipeline's runs have a run folder of their own form; whoever writes one again need not know which."""

from __future__ import annotations

from pathlib import Path

from zenml.client import Client

from orchestration.paths import ProjectPaths
from pipelines.names import PipelineName

LATEST = "latest"


def project_any(run_name: str, paths: ProjectPaths) -> Path:
    """Write the run folder of a run of any pipeline; by the name `latest` of the newest training run.

    Raises:
        ConfigError: there is no such run.
        StorageError: the folder cannot be written, or an artifact of a run that did not fail is gone.
    """
    pipeline = None if run_name == LATEST else _pipeline_of(run_name)
    if pipeline == PipelineName.MONITORING:
        from orchestration.monitoring_folder import project_monitoring

        return project_monitoring(run_name, paths)
    if pipeline == PipelineName.RETRAINING:
        from orchestration.decision_folder import project_decision

        return project_decision(run_name, paths)
    from orchestration.run_folder import rewrite_run

    return rewrite_run(paths, run_name)


def _pipeline_of(run_name: str) -> str | None:
    """Name of a run's pipeline; None where there is no such run."""
    runs = Client().list_pipeline_runs(name=run_name, size=1).items
    return runs[0].pipeline.name if runs and runs[0].pipeline else None

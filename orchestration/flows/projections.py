"""Each pipeline's runs have a run folder of their own form; whoever writes one again need not know which."""

from __future__ import annotations

from pathlib import Path

from orchestration.session.paths import ProjectPaths
from pipelines.names import PipelineName
from vision.base.errors import ConfigError
from vision.base.lock import is_held

LATEST = "latest"


def project_any(run_name: str, paths: ProjectPaths) -> Path:
    """Write the run folder of a run of any pipeline; by the name `latest` of the newest training run.

    Raises:
        ConfigError: there is no such run, it is still going, or its pipeline's runs have no folder.
        StorageError: the folder cannot be written, or an artifact of a run that did not fail is gone.
    """
    from orchestration.flows.run_folder import find_newest_training, find_run, project_run

    run = find_newest_training() if run_name == LATEST else find_run(run_name)
    if not run.status.is_finished and is_held(paths.lock):
        raise ConfigError(
            f"Run {run.name} is still going. Expected one that has ended, for there is no verdict yet. Wait "
            "for its end, when it writes its own folder, or name another with --run"
        )
    pipeline = run.pipeline.name if run.pipeline else None
    if pipeline == PipelineName.TRAINING:
        return project_run(run.name, paths)[0]
    if pipeline == PipelineName.MONITORING:
        from orchestration.flows.monitoring_folder import project_monitoring

        return project_monitoring(run.name, paths)
    if pipeline == PipelineName.RETRAINING:
        from orchestration.flows.decision_folder import project_decision

        return project_decision(run.name, paths)
    raise ConfigError(
        f"Run {run.name} is of the pipeline {pipeline}, whose runs have no folder. Expected a run of "
        "training, monitoring or retraining (python run.py runs lists them). Its steps are in the dashboard "
        "(python run.py dashboard); what was deployed last and answers: python run.py service status"
    )

"""`runs/<name>/` of a decision on retraining: a projection of its ZenML run, as `run_folder` is of others.

Which training followed and what its gate said is metadata of the run that decided.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from zenml import log_metadata

from materializers.names import ArtifactName
from orchestration.flows.run_folder import RunArtifacts, find_run
from orchestration.session.paths import ProjectPaths
from pipelines.names import PipelineName
from report.summary import to_plain
from vision.base.errors import StorageError
from vision.base.files import storage_errors, write_atomically
from vision.gate.records import Verdict
from vision.retraining.records import RetrainDecision

STEP = "decide_retraining"
TRAINING_KEY = "training"


def record_training(run_name: str, training_run: str, verdict: Verdict | None) -> None:
    """Store with the run that decided which training follows, and later how its gate judged."""
    value = {"run": training_run, "verdict": verdict.value if verdict else ""}
    log_metadata(metadata={TRAINING_KEY: value}, run_id_name_or_prefix=run_name)


def load_decision(run_name: str) -> RetrainDecision:
    """The decision of a run.

    Raises:
        StorageError: the run has none, or it is gone or altered.
    """
    decision = RunArtifacts(find_run(run_name)).load(STEP, ArtifactName.RETRAIN_DECISION)
    if not isinstance(decision, RetrainDecision):
        raise StorageError(f"Run {run_name} holds no decision on retraining. Run the pipeline again.")
    return decision


def project_decision(run_name: str, paths: ProjectPaths) -> Path:
    """Write summary.json and decision.md of a run that decided on retraining, as far as it came.

    Raises:
        ConfigError: there is no such run.
        StorageError: the folder cannot be written.
    """
    from report.figures import draw_views

    run = RunArtifacts(find_run(run_name))
    folder = paths.runs / run.name
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    decision = run.load(STEP, ArtifactName.RETRAIN_DECISION)
    if decision is not None:
        for name, view in draw_views(decision).items():
            write_atomically(folder / name, view)
    summary = json.dumps(to_plain(_summarise(run, decision)), indent=2, allow_nan=False)
    write_atomically(folder / "summary.json", summary)
    return folder


def _summarise(run: RunArtifacts, decision: RetrainDecision | None) -> dict[str, Any]:
    training = run.metadata.get(TRAINING_KEY)
    return {
        "run": run.name,
        "pipeline": PipelineName.RETRAINING.value,
        "model": run.config.name,
        "failure": run.failure,
        "failed_step": run.failed(),
        "decision": decision.model_dump(mode="json") if decision else None,
        "evidence": run.parameters.get("evidence"),
        "training": {"run": training["run"], "verdict": training["verdict"] or None} if training else None,
        "seconds": {"total": run.circumstances.get("seconds"), "steps": run.seconds()},
        "cached_steps": list(run.cached()),
    }

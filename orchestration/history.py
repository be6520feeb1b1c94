"""What ran and what is in production, as ZenML knows it; run folders are not read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from zenml.client import Client
from zenml.enums import ModelStages
from zenml.utils.pagination_utils import depaginate

from materializers.names import ArtifactName
from materializers.registry import DIGEST_KEY
from orchestration.paths import ProjectPaths

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse, StepRunResponse

MOST_RUNS = 200


@dataclass(frozen=True)
class RunRow:
    """One run. `winner` and `verdict` are empty where it did not get that far, `folder` None where gone."""

    name: str
    pipeline: str
    status: str
    started: str
    winner: str
    verdict: str
    folder: Path | None


@dataclass(frozen=True)
class ChampionRow:
    """One model in production."""

    model: str
    version: str
    digest: str
    since: str


def list_runs(paths: ProjectPaths, limit: int = MOST_RUNS) -> tuple[RunRow, ...]:
    """The newest runs, newest first, times in UTC to the second."""
    client = Client()
    runs = client.list_pipeline_runs(sort_by="desc:created", size=limit).items
    winners = _metadata_of_runs(client, runs, "compare", ArtifactName.COMPARISON, "winner")
    verdicts = {
        **_metadata_of_runs(client, runs, "promote", ArtifactName.PROMOTION, "verdict"),
        **_drift_verdicts(client, runs),
        **_decisions(client, runs),
    }
    return tuple(
        RunRow(
            name=run.name,
            pipeline=run.pipeline.name if run.pipeline else "",
            status=run.status.value,
            started=_format_time(run.created),
            winner=winners.get(run.id, ""),
            verdict=verdicts.get(run.id, ""),
            folder=folder if (folder := paths.runs / run.name).is_dir() else None,
        )
        for run in runs
    )


def list_champions() -> tuple[ChampionRow, ...]:
    """Every model's production version, by model name."""
    versions = depaginate(Client().list_model_versions, stage=ModelStages.PRODUCTION, hydrate=True)
    rows = [
        ChampionRow(
            model=version.model.name,
            version=str(version.number),
            digest=str(version.run_metadata.get(DIGEST_KEY, "")),
            since=_format_time(version.updated),
        )
        for version in versions
    ]
    return tuple(sorted(rows, key=lambda row: row.model))


def _drift_verdicts(client: Client, runs: Sequence[PipelineRunResponse]) -> Mapping[UUID, str]:
    """Monitoring run -> `quiet`, `insufficient` or `drift: capture`, marked where groups were guessed."""
    status, cause, verified = (
        _metadata_of_runs(client, runs, "monitor", ArtifactName.MONITORED_WINDOW, key)
        for key in ("status", "cause", "verified")
    )
    return {
        run: value
        + (f": {cause[run]}" if run in cause else "")
        + ("" if verified.get(run) == "True" or value == "insufficient" else " (unverified)")
        for run, value in status.items()
    }


def _decisions(client: Client, runs: Sequence[PipelineRunResponse]) -> Mapping[UUID, str]:
    """Run of the retraining pipeline -> `no retraining`, or `retrain: ` and what asked for it."""
    retrain, trigger = (
        _metadata_of_runs(client, runs, "decide_retraining", ArtifactName.RETRAIN_DECISION, key)
        for key in ("retrain", "trigger")
    )
    return {
        run: f"retrain: {trigger[run]}" if value == str(True) else "no retraining"
        for run, value in retrain.items()
    }


def _metadata_of_runs(
    client: Client, runs: Sequence[PipelineRunResponse], step: str, artifact: ArtifactName, key: str
) -> Mapping[UUID, str]:
    """Run -> one metadata value of what the step made, or took from the cache, in that run."""
    values: dict[UUID, str] = {}
    if not runs:
        return values
    of_these = "oneof:" + json.dumps([str(run.id) for run in runs])
    for step_run in depaginate(client.list_run_steps, name=step, pipeline_run_id=of_these, hydrate=True):
        value = _metadata_of_output(step_run, artifact, key)
        if value is not None:
            values[step_run.pipeline_run_id] = str(value)
    return values


def _metadata_of_output(step_run: StepRunResponse, artifact: ArtifactName, key: str) -> Any | None:
    outputs = step_run.outputs.get(artifact.value, [])
    return outputs[0].run_metadata.get(key) if outputs else None


def _format_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")

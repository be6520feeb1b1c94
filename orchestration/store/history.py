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
from orchestration.session.paths import ProjectPaths
from vision.base.errors import ConfigError
from vision.drift.records import DriftStatus

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse

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


def list_runs(paths: ProjectPaths) -> tuple[RunRow, ...]:
    """The newest runs, newest first, times in UTC to the second."""
    client = Client()
    runs = client.list_pipeline_runs(sort_by="desc:created", size=MOST_RUNS).items
    compared = _metadata_of_runs(client, runs, "compare", ArtifactName.COMPARISON)
    promoted = _metadata_of_runs(client, runs, "promote", ArtifactName.PROMOTION)
    monitored = _metadata_of_runs(client, runs, "monitor", ArtifactName.MONITORED_WINDOW)
    decided = _metadata_of_runs(client, runs, "decide_retraining", ArtifactName.RETRAIN_DECISION)
    verdicts = {run: str(metadata.get("verdict", "")) for run, metadata in promoted.items()}
    verdicts |= {run: _tell_drift(metadata) for run, metadata in monitored.items()}
    verdicts |= {run: _tell_decision(metadata) for run, metadata in decided.items()}
    return tuple(
        RunRow(
            name=run.name,
            pipeline=run.pipeline.name if run.pipeline else "",
            status=run.status.value,
            started=_format_time(run.created),
            winner=str(compared.get(run.id, {}).get("winner", "")),
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


def missing_champion(model_name: str, consequence: str) -> ConfigError:
    """The error of a command whose model is not in production: which are, and what names the model.

    Args:
        model_name: as the config says.
        consequence: what the command cannot do therefore, as in "there is nothing to serve".
    """
    return ConfigError(
        f"No model {model_name} is in production, so {consequence}. {tell_production(model_name)}"
    )


def tell_production(model_name: str) -> str:
    """Which models are in production instead of the one that a config names, and what to do."""
    train = "python run.py --pipeline training --config NAME.yaml"
    champions = list_champions()
    if not champions:
        return f"No other model is in production either. Train it: {train}"
    listed = ", ".join(f"{each.model} (version {each.version})" for each in champions)
    name = champions[0].model if len(champions) == 1 else "NAME"
    return (
        f"In production: {listed}. Which model is meant is said by the config's `name`, here {model_name}. "
        f"If the training was given another by --set, give it here too: --set name={name}. Or "
        f"train it: {train}"
    )


def _tell_drift(metadata: Mapping[str, Any]) -> str:
    """`quiet`, `insufficient` or `drift: capture`, marked where groups were guessed."""
    verdict = str(metadata.get("status", ""))
    if "cause" in metadata:
        verdict += f": {metadata['cause']}"
    guessed = not metadata.get("verified", True) and verdict != DriftStatus.INSUFFICIENT
    return verdict + (" (unverified)" if guessed else "")


def _tell_decision(metadata: Mapping[str, Any]) -> str:
    """`no retraining`, or `retrain: ` and what asked for it."""
    return f"retrain: {metadata.get('trigger', '')}" if metadata.get("retrain") else "no retraining"


def _metadata_of_runs(
    client: Client, runs: Sequence[PipelineRunResponse], step: str, artifact: ArtifactName
) -> Mapping[UUID, Mapping[str, Any]]:
    """Run -> metadata of what the step made, or took from the cache, in that run."""
    if not runs:
        return {}
    of_these = "oneof:" + json.dumps([str(run.id) for run in runs])
    step_runs = depaginate(client.list_run_steps, name=step, pipeline_run_id=of_these, hydrate=True)
    return {
        step_run.pipeline_run_id: outputs[0].run_metadata
        for step_run in step_runs
        if (outputs := step_run.outputs.get(artifact.value, []))
    }


def _format_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")

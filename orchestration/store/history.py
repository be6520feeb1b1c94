"""What ran and what is in production, as ZenML tells it; run folders are not read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from zenml.client import Client
from zenml.enums import ModelStages
from zenml.utils.pagination_utils import depaginate

from materializers.registry import DIGEST_KEY
from orchestration.store.rows import CIRCUMSTANCES, FAILURE, MOST_RUNS, TELLING, ChampionRow, RunRow
from vision.base.errors import ConfigError

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse


def list_runs() -> tuple[RunRow, ...]:
    """The newest runs, newest first, times in UTC to the second."""
    client = Client()
    runs = client.list_pipeline_runs(sort_by="desc:created", size=MOST_RUNS, hydrate=True).items
    told = {step: _metadata_of_runs(client, runs, step, artifact) for step, artifact in TELLING.items()}
    return tuple(
        RunRow.of(
            run.name,
            run.pipeline.name if run.pipeline else "",
            run.status.value,
            _format_time(run.created),
            {step: by_run[run.id] for step, by_run in told.items() if run.id in by_run},
            _failure_of(run),
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
    train = f"python run.py train {model_name}. A refused one answers by: predict --run latest PICTURES"
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


def _metadata_of_runs(
    client: Client, runs: Sequence[PipelineRunResponse], step: str, artifact: str
) -> Mapping[UUID, Mapping[str, Any]]:
    """Run -> metadata of what the step made, or took from the cache, in that run."""
    if not runs:
        return {}
    of_these = "oneof:" + json.dumps([str(run.id) for run in runs])
    step_runs = depaginate(client.list_run_steps, name=step, pipeline_run_id=of_these, hydrate=True)
    return {
        step_run.pipeline_run_id: outputs[0].run_metadata
        for step_run in step_runs
        if (outputs := step_run.outputs.get(artifact, []))
    }


def _failure_of(run: PipelineRunResponse) -> str:
    circumstances = run.run_metadata.get(CIRCUMSTANCES, {})
    return str(circumstances.get(FAILURE, "")) if isinstance(circumstances, dict) else ""


def _format_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")

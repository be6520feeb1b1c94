"""`tracking: mlflow`: a training that came to its verdict is written into an MLflow store in the project.

One MLflow run a training, one nested run a candidate, and what was promoted in MLflow's model registry. ZenML
learns where the store is: its experiment tracker `taxon-mlflow` is registered with it. MLflow is imported
only where the configuration asks for it.
"""

from __future__ import annotations

import io
import json
import logging
import math
import os
import re
import shlex
import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

from PIL import Image
from zenml import log_metadata
from zenml.client import Client
from zenml.enums import StackComponentType

from orchestration.session.paths import ProjectPaths
from report.figures.views import draw_views
from report.headline import tell_verdict
from report.story import RunStory
from vision.base.errors import StorageError
from vision.evaluation.metric_table import METRICS
from vision.evaluation.records import Evaluation
from vision.gate.records import Promotion, Verdict
from vision.training.records import TrainingHistory

TRACKER, ALIAS = "taxon-mlflow", "champion"
PACKAGES = ("numpy", "pillow", "ai-edge-litert")
"""What a model that was taken away needs."""
PYFUNC = Path(__file__).with_name("mlflow_model.py")
"""How MLflow asks it; imported by MLflow alone."""
ARTIFACTS = "/state/mlflow/artifacts"
_PLACES = (
    *("experiments.artifact_location", "runs.artifact_uri"),
    *("model_versions.source", "model_versions.storage_location", "logged_models.artifact_location"),
)
"""What of MLflow's database holds absolute paths of artifacts."""


def command_of(paths: ProjectPaths) -> str:
    """What shows the project's MLflow store in a browser."""
    return f"python -m mlflow ui --backend-store-uri {shlex.quote(_uri_of(paths))}"


def track(story: RunStory, promotion: Promotion, paths: ProjectPaths) -> str:
    """Write a training, whose run folder is written, into the project's MLflow store; its MLflow run's id.

    Raises:
        StorageError: the store cannot be written.
    """
    import mlflow

    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    artifacts = paths.home / ARTIFACTS.lstrip("/")
    try:
        artifacts.mkdir(parents=True, exist_ok=True)
        _relocate(artifacts)
        mlflow.set_tracking_uri(_uri_of(paths))
        if mlflow.get_experiment_by_name(story.config.name) is None:
            mlflow.create_experiment(story.config.name, (artifacts / story.config.name).as_uri())
        mlflow.set_experiment(story.config.name)
        run_id = _log_training(story, promotion, paths.runs / story.run_name)
    except (mlflow.MlflowException, OSError, sqlite3.Error) as error:
        raise StorageError(
            f"MLflow's store {_uri_of(paths)} does not take the run: {str(error).strip().splitlines()[0]}. "
            "Expected a database and a folder that can be written. If it is damaged, move it away: the next "
            "training makes a new one."
        ) from error
    _register_tracker(_uri_of(paths))
    log_metadata(metadata={"mlflow_run_id": run_id}, run_id_name_or_prefix=story.run_name)
    return run_id


def _uri_of(paths: ProjectPaths) -> str:
    return f"sqlite:///{paths.state / 'mlflow' / 'mlflow.db'}"


def _relocate(artifacts: Path) -> None:
    """Make the paths in MLflow's database those of this place, where the project was moved or copied."""
    path, here = artifacts.parent / "mlflow.db", artifacts.as_uri()
    if not path.is_file():
        return
    with closing(sqlite3.connect(path, timeout=60)) as database, database:
        for table, column in (place.split(".") for place in _PLACES):
            database.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, instr({column}, ?) + ?) "
                f"WHERE instr({column}, ?)",
                (here, ARTIFACTS, len(ARTIFACTS), ARTIFACTS),
            )


def _log_training(story: RunStory, promotion: Promotion, folder: Path) -> str:
    """The run of the whole training, with its candidates nested in it."""
    import mlflow

    winner = story.comparison.winner if story.comparison else ""
    tags = {"verdict": promotion.verdict, "winner": winner, "bundle_digest": promotion.bundle_digest}
    told = tell_verdict(story, promotion)
    with mlflow.start_run(run_name=story.run_name, tags=tags, description=told) as run:
        mlflow.log_params(
            _flatten(story.config.model_dump(mode="json", exclude={"training": {"candidates"}}))
        )
        if story.test is not None:
            mlflow.log_metrics(_figures_of(story.test))
        mlflow.log_artifacts(str(folder))
        evaluations = {each.candidate: each for each in story.evaluations}
        for history in story.histories:
            _log_candidate(story, history, evaluations.get(history.candidate))
        if promotion.verdict is Verdict.PROMOTED and (folder / "model").is_dir():
            _register_model(story.config.name, run.info.run_id, folder / "model", promotion)
    return str(run.info.run_id)


def _log_candidate(story: RunStory, history: TrainingHistory, evaluation: Evaluation | None) -> None:
    """Settings, curves, figures on validation and pictures of one candidate."""
    import mlflow

    name = history.candidate
    with mlflow.start_run(run_name=name, nested=True, tags={"weights": story.weights.get(name, "")}):
        mlflow.log_params(_flatten(story.config.training.candidates[name].model_dump(mode="json")))
        for row in history.epochs:
            kind = "epochs" if row.regularisation is None else "strengths"
            curves = row.model_dump(exclude={"epoch", "phase"}, exclude_none=True)
            finite = {f"{kind}/{key}": value for key, value in curves.items() if math.isfinite(value)}
            mlflow.log_metrics(finite, step=row.epoch)
        mlflow.log_metrics(
            {"training/seconds": history.seconds} | (_figures_of(evaluation) if evaluation else {})
        )
        for record in filter(None, (history, evaluation)):
            for file, drawn in draw_views(record).items():
                if isinstance(drawn, bytes):
                    mlflow.log_image(Image.open(io.BytesIO(drawn)), artifact_file=f"figures/{file}")


def _figures_of(evaluation: Evaluation) -> dict[str, float]:
    """`test/accuracy` and the like, with `…_low` and `…_high` of an interval; only what is a number."""
    intervals = {name: getattr(evaluation, name) for name in METRICS}
    pooled = [row for row in evaluation.deciding_rows() if row.class_name == "all"]
    intervals |= {f"auroc_unknown_{row.kind}": row.auroc for row in pooled}
    figures = {"ece": evaluation.ece, **evaluation.figures()}
    for name, each in intervals.items():
        figures |= {name: each.value, f"{name}_low": each.low, f"{name}_high": each.high}
    return {f"{evaluation.split}/{name}": value for name, value in figures.items() if math.isfinite(value)}


def _flatten(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings by dotted key, as `--set` names them; characters that MLflow refuses become `_`."""

    def walk(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from walk(f"{prefix}.{key}", inner)
        else:
            yield (
                re.sub(r"[^\w.\- ]", "_", prefix[1:]),
                value if isinstance(value, str) else json.dumps(value),
            )

    return dict(walk("", settings))


def _register_model(name: str, run_id: str, folder: Path, promotion: Promotion) -> None:
    """A version of the model that was promoted, which `mlflow.pyfunc` loads, under the alias `champion`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of MLflow about types of its own
        import mlflow.pyfunc

    model = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(PYFUNC),
        artifacts={"model": str(folder)},
        pip_requirements=[f"{each}=={version(each)}" for each in PACKAGES],
    )
    client = mlflow.MlflowClient()
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    registered = client.create_model_version(
        *(name, model.model_uri, run_id),
        tags={"bundle_digest": promotion.bundle_digest},
        description=promotion.reason,
        model_id=model.model_id,
    )
    client.set_registered_model_alias(name, ALIAS, registered.version)


def _register_tracker(uri: str) -> None:
    """Make the store known to ZenML as an experiment tracker, unless ZenML is on a shared server."""
    client, kind = Client(), StackComponentType.EXPERIMENT_TRACKER
    if not client.zen_store.is_local_store():
        return
    found, configuration = client.list_stack_components(name=TRACKER, type=kind).items, {"tracking_uri": uri}
    if not found:
        client.create_stack_component(TRACKER, "mlflow", kind, configuration)
    elif found[0].configuration != configuration:
        client.update_stack_component(TRACKER, kind, configuration=configuration)

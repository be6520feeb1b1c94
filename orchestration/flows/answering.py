"""Which model answers a batch: the one in production, or the winner of a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from zenml.client import Client

from materializers.names import ArtifactName
from materializers.registry import RegisteredVersion, find_production
from orchestration.flows.running.artifacts import RunArtifacts, find_newest_training, find_run
from orchestration.store.history import list_champions, missing_champion, tell_production
from vision.base.errors import ConfigError
from vision.bundle.records import Bundle
from vision.config.data import AUTO_GROUPS
from vision.data.groups.grouping import suggest_groups
from vision.data.images import MAX_MEGAPIXELS
from vision.data.records import Manifest, Splits
from vision.gate.records import Promotion, Verdict
from vision.prediction.batch import BatchModel

LATEST = "latest"


@dataclass(frozen=True)
class AnsweringModel:
    """A bundle that answers.

    Attributes:
        model: its folder, digest and name.
        told: what it is, in words.
        group_by: the pattern of groups that it was trained with, if there was one.
        max_megapixels: largest picture that it was trained with.
    """

    model: BatchModel
    told: str
    group_by: str | None
    max_megapixels: float


def find_in_production(name: str | None = None) -> AnsweringModel:
    """The model of this name that is in production; without a name the one that was put there last.

    Raises:
        ConfigError: none is.
        BundleError: its version lacks its bundle, or the bundle was altered.
    """
    champions = list_champions()
    if name is None:
        if not champions:
            raise ConfigError(f"No model is in production, so nothing can answer. {tell_production('NAME')}")
        name = max(champions, key=lambda each: each.since).model
    production = find_production(name)
    if production is None:
        raise missing_champion(name, "there is nothing that could answer")
    champion, version = production.champion, production.version
    bundle: Bundle = champion.bundle().load()
    others = [each.model for each in champions if each.model != name]
    told = f"{name} version {version}, in production"
    if others:
        told += f" (as are {', '.join(others)}: choose with --model)"
    splits: Splits = champion.splits().load()
    model = BatchModel(bundle.root, champion.digest, name, version)
    return _describe(model, told, splits, _find_run(production))


def find_winner(run_name: str) -> AnsweringModel:
    """The winner of a training run, in production or not; `latest` is the last that ended with a model.

    Raises:
        ConfigError: there is no such run, or it has no winner that was exported.
        StorageError: the bundle is gone or altered.
    """
    run = RunArtifacts(find_newest_training() if run_name == LATEST else find_run(run_name))
    bundle = run.load("assemble", ArtifactName.BUNDLE)
    if not isinstance(bundle, Bundle):
        raise ConfigError(
            f"Run {run.name} has no model that could answer. Expected a training run that came as far as its "
            "winner; python run.py runs lists them."
        )
    caution = tell_caution(run.load("promote", ArtifactName.PROMOTION))
    model = BatchModel(bundle.root, bundle.digest, bundle.name, caution=caution)
    splits = run.load("validate", ArtifactName.SPLITS)
    return _describe(model, f"the winner of {run.name}", splits, run)


def tell_caution(promotion: Promotion | None) -> str:
    """Why the answers of a run's winner are not to be counted on; empty where it was promoted."""
    if promotion is None:
        return "The gate never judged this model, and it is not in production: its answers are a trial."
    if promotion.verdict is Verdict.PROMOTED:
        return ""
    told = "did not pass the gate" if promotion.verdict is Verdict.REFUSED else "was not put into production"
    return f"This model {told}: {promotion.reason or ' '.join(promotion.reasons)} Its answers are a trial."


def _find_run(production: RegisteredVersion) -> RunArtifacts | None:
    """The training run that put the version into production; None where it was deleted."""
    run_id = production.run_id
    try:
        return RunArtifacts(Client().get_pipeline_run(UUID(run_id))) if run_id else None
    except KeyError:
        return None


def _describe(
    model: BatchModel, told: str, splits: Splits | None, run: RunArtifacts | None
) -> AnsweringModel:
    try:
        dataset = run.config.dataset if run is not None else None
    except ConfigError:  # its process was killed before it was recorded; the bundle is whole
        dataset = None
    if dataset is None:
        told += " (how it read groups is not recorded: --group-by says it)"
    manifest: Manifest | None = run.load("ingest", ArtifactName.MANIFEST) if run is not None else None
    group_by = getattr(dataset, "group_by", None)
    if group_by == AUTO_GROUPS:
        group_by = suggest_groups(manifest.entries if manifest is not None else ()).pattern or AUTO_GROUPS
    if splits is not None:
        groups = splits.taught_groups(manifest.entries.column("group") if manifest is not None else None)
        model = replace(model, uses=splits.uses(), groups=groups)
    return AnsweringModel(model, told, group_by, getattr(dataset, "max_megapixels", MAX_MEGAPIXELS))

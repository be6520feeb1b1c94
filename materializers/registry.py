"""The champion: the version in the production stage of ZenML's model registry, and nothing else.

A model version exists for each bundle digest that was promoted, holds links to its bundle, splits and
manifest artifacts, and pins the digest in its metadata: digests that lie beside a graph certify nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from zenml import log_metadata
from zenml.client import Client
from zenml.enums import ModelStages
from zenml.model.utils import link_artifact_version_to_model_version
from zenml.utils.pagination_utils import depaginate

from materializers.names import ArtifactName
from vision.base.errors import BundleError
from vision.data.records import AddedFolder, Manifest
from vision.gate.records import Registration
from vision.retraining.records import ChampionState

if TYPE_CHECKING:
    from zenml.models import ArtifactVersionResponse, ModelVersionResponse

DIGEST_KEY = "bundle_digest"
RUN_KEY = "staged_by_run"
ROLLBACK_KEY = "rollback"


class Champion(BaseModel):
    """The production version of a model: its pinned bundle digest, and where its artifacts are.

    It carries no version number, because it is a parameter of steps: champions with one digest are one.
    """

    model_config = ConfigDict(frozen=True)

    digest: str
    bundle_id: UUID
    splits_id: UUID
    manifest_id: UUID

    def bundle(self) -> ArtifactVersionResponse:
        """The bundle artifact, to be passed to a step."""
        return Client().get_artifact_version(self.bundle_id)

    def splits(self) -> ArtifactVersionResponse:
        """The splits artifact, to be passed to a step."""
        return Client().get_artifact_version(self.splits_id)

    def manifest(self) -> ArtifactVersionResponse:
        """The manifest artifact, to be passed to a step."""
        return Client().get_artifact_version(self.manifest_id)

    def additions(self) -> tuple[AddedFolder, ...]:
        """The folders of further images that it learned from."""
        manifest: Manifest = Client().get_artifact_version(self.manifest_id).load()
        return manifest.additions


class RegisteredVersion(BaseModel):
    """A version that is or was in production: its number and id, the run behind it, and what it holds."""

    model_config = ConfigDict(frozen=True)

    version: str
    id: UUID
    champion: Champion
    run_id: str | None = None


def find_production(model_name: str) -> RegisteredVersion | None:
    """The version in production, read at once: a promotion meanwhile mixes no two. None where there is none.

    Raises:
        BundleError: it lacks its digest, bundle, splits or manifest.
    """
    version = _production_version(model_name)
    return None if version is None else _register(version)


def find_champion(model_name: str) -> Champion | None:
    """The champion of a model, or None where none is in production.

    Raises:
        BundleError: the production version lacks its digest, bundle, splits or manifest.
    """
    version = _production_version(model_name)
    return None if version is None else _describe(version)


def find_version_number(model_name: str) -> str | None:
    """Number of the production version of a model, or None where none is in production."""
    version = _production_version(model_name)
    return None if version is None else str(version.number)


def find_previous(model_name: str) -> RegisteredVersion | None:
    """The version that was in production before: the one archived last, or None.

    Raises:
        BundleError: it lacks its digest, bundle, splits or manifest.
    """
    archived = _list_versions(model_name, ModelStages.ARCHIVED)
    with_digest = [version for version in archived if DIGEST_KEY in version.run_metadata]
    if not with_digest:
        return None
    version = max(with_digest, key=lambda each: each.updated)
    return _register(version)


def put_back(model_name: str, previous: RegisteredVersion) -> Registration:
    """Put a previous version into production again; the present champion is archived, and both say so.

    Raises:
        BundleError: the production version lacks its digest, bundle, splits or manifest.
    """
    withdrawn = _production_version(model_name)
    told = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "withdrawn_version": str(withdrawn.number) if withdrawn else "",
        "restored_version": previous.version,
    }
    for version_id in [previous.id, *([withdrawn.id] if withdrawn else [])]:
        log_metadata(metadata={ROLLBACK_KEY: told}, model_version_id=version_id)
    Client().get_model_version(model_name, previous.id).set_stage(ModelStages.PRODUCTION, force=True)
    return Registration(
        model_name=model_name,
        version=previous.version,
        stage=ModelStages.PRODUCTION.value,
        bundle_digest=previous.champion.digest,
    )


def find_champion_state(model_name: str) -> ChampionState | None:
    """The champion as the decision on retraining sees it, or None where none is in production.

    Its age counts from its registration: a rollback makes a model no younger.
    """
    version = _production_version(model_name)
    if version is None:
        return None
    since = version.created if version.created.tzinfo else version.created.replace(tzinfo=UTC)
    return ChampionState(digest=str(version.run_metadata.get(DIGEST_KEY)), since=since)


def register_champion(
    model_name: str,
    digest: str,
    bundle: ArtifactVersionResponse,
    splits: ArtifactVersionResponse,
    manifest: ArtifactVersionResponse,
    *,
    run_id: UUID | None,
) -> Registration:
    """Put a bundle into production; the former champion is archived.

    A version is made only for a digest that has none yet, and is staged only once it is complete. It names
    the run that stages it, because all its artifacts may come from the cache, made by other runs; `run_id` is
    None outside of a run.
    """
    version = _version_with_digest(model_name, digest)
    if version is None:
        version = _create_version(model_name)
        for artifact in (bundle, splits, manifest):
            link_artifact_version_to_model_version(artifact, version)
        log_metadata(metadata={DIGEST_KEY: digest}, model_version_id=version.id)
    if version.stage != ModelStages.PRODUCTION.value:
        if run_id is not None:
            log_metadata(metadata={RUN_KEY: str(run_id)}, model_version_id=version.id)
        version.set_stage(ModelStages.PRODUCTION, force=True)
    return Registration(
        model_name=model_name,
        version=str(version.number),
        stage=ModelStages.PRODUCTION.value,
        bundle_digest=digest,
    )


def _describe(version: ModelVersionResponse) -> Champion:
    name = version.model.name
    digest = version.run_metadata.get(DIGEST_KEY)
    bundle = version.get_artifact(ArtifactName.BUNDLE)
    splits = version.get_artifact(ArtifactName.SPLITS)
    manifest = version.get_artifact(ArtifactName.MANIFEST)
    if not isinstance(digest, str) or bundle is None or splits is None or manifest is None:
        raise BundleError(
            f"Version {version.name} of {name} lacks its bundle, splits, manifest or pinned digest. Expected "
            f"all four. Delete the version (zenml model version delete {name} {version.name}) and train "
            "again."
        )
    return Champion(
        digest=digest,
        bundle_id=bundle.id,
        splits_id=splits.id,
        manifest_id=manifest.id,
    )


def _register(version: ModelVersionResponse) -> RegisteredVersion:
    staged_by = version.run_metadata.get(RUN_KEY)
    return RegisteredVersion(
        version=str(version.number),
        id=version.id,
        champion=_describe(version),
        run_id=str(staged_by) if staged_by else None,
    )


def _production_version(model_name: str) -> ModelVersionResponse | None:
    try:
        return Client().get_model_version(model_name, ModelStages.PRODUCTION)
    except KeyError:
        return None


def _version_with_digest(model_name: str, digest: str) -> ModelVersionResponse | None:
    versions = _list_versions(model_name)
    return next((each for each in versions if each.run_metadata.get(DIGEST_KEY) == digest), None)


def _list_versions(model_name: str, stage: ModelStages | None = None) -> list[ModelVersionResponse]:
    """The versions of a model, in one stage or all; none where there is no such model."""
    try:
        model = Client().get_model(model_name)
    except KeyError:
        return []
    return depaginate(Client().list_model_versions, model=model.id, stage=stage, hydrate=True)


def _create_version(model_name: str) -> ModelVersionResponse:
    client = Client()
    try:
        model = client.get_model(model_name)
    except KeyError:
        model = client.create_model(model_name, description="Champions of one data set, by bundle digest")
    return client.create_model_version(model.id)

"""The production stage of ZenML's model registry is the only truth about the champion.

A model version exists for each bundle digest that was promoted, holds links to its bundle, splits and
manifest artifacts, and pins the digest in its metadata: digests that lie beside a graph certify nothing.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from zenml import log_metadata
from zenml.client import Client
from zenml.enums import ModelStages
from zenml.model.utils import link_artifact_version_to_model_version

from materializers.names import ArtifactName
from vision.errors import BundleError
from vision.records import AddedFolder, ChampionState, Manifest, Registration

if TYPE_CHECKING:
    from zenml.models import ArtifactVersionResponse, ModelVersionResponse

DIGEST_KEY = "bundle_digest"


class Champion(BaseModel):
    """The production version of a model: its pinned bundle digest, and where its artifacts are.

    It carries no version number, because it is a parameter of steps: champions with one digest are one.
    """

    model_config = ConfigDict(frozen=True)

    digest: str
    bundle_id: UUID
    splits_id: UUID
    manifest_id: UUID | None = None

    def bundle(self) -> ArtifactVersionResponse:
        """The bundle artifact, to be passed to a step."""
        return Client().get_artifact_version(self.bundle_id)

    def splits(self) -> ArtifactVersionResponse:
        """The splits artifact, to be passed to a step."""
        return Client().get_artifact_version(self.splits_id)

    def additions(self) -> tuple[AddedFolder, ...]:
        """The folders of further images that it learned from; of a version without a manifest none."""
        if self.manifest_id is None:
            return ()
        manifest: Manifest = Client().get_artifact_version(self.manifest_id).load()
        return manifest.additions


def find_champion(model_name: str) -> Champion | None:
    """The champion of a model, or None where none is in production.

    Raises:
        BundleError: the production version lacks its digest, bundle or splits.
    """
    version = _production_version(model_name)
    if version is None:
        return None
    digest = version.run_metadata.get(DIGEST_KEY)
    bundle = version.get_artifact(ArtifactName.BUNDLE)
    splits = version.get_artifact(ArtifactName.SPLITS)
    if not isinstance(digest, str) or bundle is None or splits is None:
        raise BundleError(
            f"The production version {version.name} of {model_name} lacks its bundle, its splits or its "
            f"pinned digest. Expected all three. Delete the version (zenml model version delete {model_name} "
            f"{version.name}) and train again."
        )
    manifest = version.get_artifact(ArtifactName.MANIFEST)
    return Champion(
        digest=digest,
        bundle_id=bundle.id,
        splits_id=splits.id,
        manifest_id=manifest.id if manifest is not None else None,
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
    manifest: ArtifactVersionResponse | None = None,
) -> Registration:
    """Put a bundle into production; the former champion is archived.

    A version is made only for a digest that has none yet, and is staged only once it is complete.
    """
    version = _version_with_digest(model_name, digest)
    if version is None:
        version = _create_version(model_name)
        for artifact in (bundle, splits, manifest):
            if artifact is not None:
                link_artifact_version_to_model_version(artifact, version)
        log_metadata(metadata={DIGEST_KEY: digest}, model_version_id=version.id)
    if version.stage != ModelStages.PRODUCTION.value:
        version.set_stage(ModelStages.PRODUCTION, force=True)
    return Registration(
        model_name=model_name,
        version=str(version.number),
        stage=ModelStages.PRODUCTION.value,
        bundle_digest=digest,
    )


def _production_version(model_name: str) -> ModelVersionResponse | None:
    try:
        return Client().get_model_version(model_name, ModelStages.PRODUCTION)
    except KeyError:
        return None


def _version_with_digest(model_name: str, digest: str) -> ModelVersionResponse | None:
    try:
        model = Client().get_model(model_name)
    except KeyError:
        return None
    for version in Client().list_model_versions(model=model.id, size=1000, hydrate=True):
        if version.run_metadata.get(DIGEST_KEY) == digest:
            return version
    return None


def _create_version(model_name: str) -> ModelVersionResponse:
    client = Client()
    try:
        model = client.get_model(model_name)
    except KeyError:
        model = client.create_model(model_name, description="Champions of one data set, by bundle digest")
    return client.create_model_version(model.id)

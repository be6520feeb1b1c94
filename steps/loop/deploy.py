"""Serve the champion, if the service answers as the pipeline does."""

from pathlib import Path
from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from serving.runtime.deployment import deploy_bundle
from vision.bundle.records import Bundle, Deployment
from vision.config.serve import ServeSettings
from vision.data.records import Manifest, Splits


@step(enable_cache=False)
def deploy(
    bundle: Bundle,
    manifest: Manifest,
    splits: Splits,
    digest: str,
    version: str,
    serve: ServeSettings,
    home: str,
) -> Annotated[Deployment, ArtifactName.DEPLOYMENT]:
    """What is served now; a service that answers otherwise fails the step, and the old one stays."""
    return deploy_bundle(bundle, digest, version, manifest, splits, serve, Path(home))

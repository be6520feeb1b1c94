"""Refuse data with too few images or groups to train on, and splits that leak."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.config.data import CheckSettings
from vision.data.records import Manifest, Splits
from vision.data.splitting.checks import check_splits


@step
def validate(
    manifest: Manifest, proposed: Splits, settings: CheckSettings
) -> Annotated[Splits, ArtifactName.SPLITS]:
    """The splits, checked: what trains on them can rely on it."""
    check_splits(manifest, proposed, settings)
    return proposed

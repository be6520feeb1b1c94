"""Give every group of images its one use."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.config.data import SplitSettings
from vision.data.records import Manifest, Splits
from vision.data.splits import assign_splits


@step
def split(
    manifest: Manifest, settings: SplitSettings, seed: int, previous: Splits | None = None
) -> Annotated[Splits, ArtifactName.PROPOSED_SPLITS]:
    """The proposed splits; groups of the champion's data (`previous`) keep theirs."""
    return assign_splits(manifest, settings, seed, previous)

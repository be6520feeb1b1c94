"""Look at the data before anything is trained on it."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.data.exploration import explore as explore_data
from vision.data.records import DataReport, DatasetRef, Manifest, Splits
from vision.data.store import open_images


@step
def explore(
    manifest: Manifest, dataset: DatasetRef, splits: Splits
) -> Annotated[DataReport, ArtifactName.DATA_REPORT]:
    """Counts, quality, duplicates, quarantined files and findings in words."""
    return explore_data(manifest, open_images(dataset), splits)

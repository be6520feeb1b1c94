"""What a model has to beat: the majority class, and logistic regression on raw pixels."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.baselines import Baselines
from vision.baselines import fit_baselines as fit_on_pixels
from vision.records import DatasetRef, Splits
from vision.store import open_images


@step
def fit_baselines(
    dataset: DatasetRef, splits: Splits, seed: int
) -> Annotated[Baselines, ArtifactName.BASELINES]:
    """Which test images each baseline gets right."""
    return fit_on_pixels(open_images(dataset), splits, seed)

"""What a model has to beat: the majority class, and logistic regression on raw pixels."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.data.records import DatasetRef, Splits
from vision.data.store import open_images
from vision.evaluation.baselines import Baselines
from vision.evaluation.baselines import fit_baselines as fit_on_pixels


@step
def fit_baselines(
    dataset: DatasetRef, splits: Splits, seed: int
) -> Annotated[Baselines, ArtifactName.BASELINES]:
    """Which test images each baseline gets right."""
    return fit_on_pixels(open_images(dataset), splits, seed)

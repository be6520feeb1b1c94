"""What a model has to beat: the majority class, raw pixels; and what a random split shows."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.base.outputs import ModelOutputs
from vision.data.records import DatasetRef, Splits
from vision.data.store import open_images
from vision.evaluation.baselines import Baselines
from vision.evaluation.baselines import fit_baselines as fit_on_pixels
from vision.evaluation.split_inflation import measure_inflation


@step
def fit_baselines(
    dataset: DatasetRef, splits: Splits, seed: int, frozen: ModelOutputs | None = None
) -> Annotated[Baselines, ArtifactName.BASELINES]:
    """Which test images each baseline gets right, and what a random split would have shown."""
    baselines = fit_on_pixels(open_images(dataset), splits, seed)
    inflation = None if frozen is None else measure_inflation(frozen, splits, seed)
    return baselines.model_copy(update={"inflation": inflation})

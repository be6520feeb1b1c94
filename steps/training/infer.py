"""Run a trained network where candidates are judged: on everything but test."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.base.outputs import ModelFile, ModelOutputs
from vision.data.labelled import rows_of
from vision.data.records import DatasetRef, Split, Splits
from vision.data.store import open_images


@step
def infer(
    model: ModelFile, dataset: DatasetRef, splits: Splits
) -> Annotated[ModelOutputs, ArtifactName.OUTPUTS]:
    """Logits and embeddings of train, validation and calibration images."""
    from vision.training.nets.inference import run_model

    rows = rows_of(splits, Split.TRAIN, Split.VALIDATION, Split.CALIBRATION)
    return run_model(model, open_images(dataset), rows)

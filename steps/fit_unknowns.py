"""Learn what the known classes look like, so that what is unlike them shows."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.labelled import select
from vision.ood.fitting import fit_detector
from vision.records import ModelOutputs, OodDetector, Split, Splits


@step
def fit_unknowns(
    outputs: ModelOutputs, splits: Splits, score: str, seed: int
) -> Annotated[OodDetector, ArtifactName.DETECTOR]:
    """The detector: fitted on training images, scaled on validation images, known classes alone."""
    train = select(outputs, splits, Split.TRAIN)
    validation = select(outputs, splits, Split.VALIDATION)
    return fit_detector(train.outputs, train.labels, train.groups, validation.outputs, score, seed)

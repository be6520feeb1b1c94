"""Learn what the known classes look like, so that what is unlike them shows."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.base.outputs import ModelOutputs
from vision.data.labelled import select
from vision.data.records import Split, Splits
from vision.decision.fitting import fit_detector
from vision.decision.records import OodDetector


@step
def fit_unknowns(
    outputs: ModelOutputs, splits: Splits, score: str, seed: int
) -> Annotated[OodDetector, ArtifactName.DETECTOR]:
    """The detector: fitted on training images, scaled on validation images, known classes alone."""
    train = select(outputs, splits, Split.TRAIN)
    validation = select(outputs, splits, Split.VALIDATION)
    return fit_detector(train.outputs, train.labels, train.groups, validation.outputs, score, seed)

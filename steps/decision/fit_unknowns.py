"""Fit the detector of unknown images, and answer known images with models fitted without them."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.base.outputs import FoldHeads, ModelOutputs
from vision.data.records import Splits
from vision.decision.cross_fitting import hold_out
from vision.decision.held_out import HeldOut
from vision.decision.records import OodDetector


@step
def fit_unknowns(
    outputs: ModelOutputs, heads: FoldHeads, splits: Splits, score: str, seed: int
) -> tuple[Annotated[OodDetector, ArtifactName.DETECTOR], Annotated[HeldOut, ArtifactName.HELD_OUT]]:
    """The detector, and what is said of known images by models that were fitted without them."""
    detector, held_out = hold_out(outputs, heads, splits, score, seed)
    return detector, held_out  # ZenML reads from this line that there are two outputs

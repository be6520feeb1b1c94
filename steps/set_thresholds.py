"""Turn scores and confidences into decisions that keep a promise."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.config import ReviewSettings, UnknownSettings
from vision.labelled import select
from vision.records import DecisionRule, ModelOutputs, OodDetector, Split, Splits, Temperature
from vision.thresholds import fit_rule


@step
def set_thresholds(
    outputs: ModelOutputs,
    splits: Splits,
    temperature: Temperature,
    detector: OodDetector,
    unknowns: UnknownSettings,
    review: ReviewSettings,
) -> Annotated[DecisionRule, ArtifactName.DECISION_RULE]:
    """The decision rule, its two thresholds fitted on the calibration split."""
    known = select(outputs, splits, Split.CALIBRATION)
    return fit_rule(known, splits.class_names, temperature, detector, unknowns, review)

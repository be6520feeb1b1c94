"""Turn scores and confidences into decisions that keep a promise."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.base.outputs import ModelOutputs
from vision.config.decision import ReviewSettings, UnknownSettings
from vision.data.labelled import select
from vision.data.records import Split, Splits
from vision.decision.records import DecisionRule, OodDetector, Temperature
from vision.decision.thresholds import fit_rule


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

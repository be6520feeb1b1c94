"""Fit the thresholds of the decision rule."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.config.decision import ReviewSettings, UnknownSettings
from vision.data.records import Splits
from vision.decision.held_out import HeldOut
from vision.decision.records import DecisionRule, Temperature
from vision.decision.thresholds import fit_rule


@step
def set_thresholds(
    held_out: HeldOut,
    splits: Splits,
    temperature: Temperature,
    unknowns: UnknownSettings,
    review: ReviewSettings,
) -> Annotated[DecisionRule, ArtifactName.DECISION_RULE]:
    """The decision rule, its two thresholds fitted on held-out images."""
    return fit_rule(held_out, splits.class_names, temperature, unknowns, review)

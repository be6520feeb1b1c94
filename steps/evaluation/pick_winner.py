"""Pass on the winner's network, outputs and rule."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.base.outputs import FoldHeads, ModelFile, ModelOutputs
from vision.decision.records import DecisionRule, OodDetector
from vision.evaluation.comparison import winner_index
from vision.evaluation.records import Comparison


@step
def pick_winner(
    comparison: Comparison,
    models: list[ModelFile],
    heads: list[FoldHeads],
    outputs: list[ModelOutputs],
    rules: list[DecisionRule],
    detectors: list[OodDetector],
) -> tuple[
    Annotated[str, ArtifactName.WINNER],
    Annotated[ModelFile, ArtifactName.MODEL],
    Annotated[FoldHeads, ArtifactName.FOLD_HEADS],
    Annotated[ModelOutputs, ArtifactName.OUTPUTS],
    Annotated[DecisionRule, ArtifactName.DECISION_RULE],
    Annotated[OodDetector, ArtifactName.DETECTOR],
]:
    """The winner's name, network, heads of folds, outputs, rule and detector."""
    index = winner_index(comparison)
    return comparison.winner, models[index], heads[index], outputs[index], rules[index], detectors[index]

"""Choose the winner on validation."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.base.outputs import ModelFile
from vision.config.evaluation import BootstrapSettings, ComparisonSettings
from vision.data.records import Splits
from vision.decision.held_out import HeldOut
from vision.decision.records import DecisionRule
from vision.evaluation.comparison import choose_winner, line_up
from vision.evaluation.records import Comparison, Evaluation


@step
def compare(
    evaluations: list[Evaluation],
    models: list[ModelFile],
    held_out: list[HeldOut],
    rules: list[DecisionRule],
    splits: Splits,
    settings: ComparisonSettings,
    bootstrap: BootstrapSettings,
    seed: int,
) -> Annotated[Comparison, ArtifactName.COMPARISON]:
    """The candidates side by side, their paired differences and the winner."""
    contenders, truth = line_up(evaluations, models, held_out, rules, splits)
    return choose_winner(contenders, truth, settings, bootstrap, seed)

"""Choose the winner on validation."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.comparison import compare as compare_candidates
from vision.config import BootstrapSettings, ComparisonSettings
from vision.records import Comparison, Evaluation, ModelFile, ModelOutputs, Splits, Temperature


@step
def compare(
    evaluations: list[Evaluation],
    models: list[ModelFile],
    outputs: list[ModelOutputs],
    temperatures: list[Temperature],
    splits: Splits,
    settings: ComparisonSettings,
    bootstrap: BootstrapSettings,
    seed: int,
) -> Annotated[Comparison, ArtifactName.COMPARISON]:
    """The candidates side by side, their paired differences and the winner."""
    return compare_candidates(evaluations, models, outputs, temperatures, splits, settings, bootstrap, seed)

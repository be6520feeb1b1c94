"""Measure how far each exported precision strays from the trained network."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.base.outputs import ModelOutputs
from vision.bundle.differences import Draws
from vision.bundle.parity import check_graphs
from vision.bundle.records import ExportedGraphs, PrecisionReport
from vision.config.evaluation import BootstrapSettings
from vision.config.export import ExportSettings
from vision.data.records import Splits
from vision.decision.records import DecisionRule, OodDetector
from vision.decision.served import Served


@step
def check_precisions(
    graphs: ExportedGraphs,
    exported: dict[str, ModelOutputs],
    trained: ModelOutputs,
    rule: DecisionRule,
    detector: OodDetector,
    splits: Splits,
    settings: ExportSettings,
    bootstrap: BootstrapSettings,
    seed: int,
) -> Annotated[PrecisionReport, ArtifactName.PRECISION_REPORT]:
    """Every precision against the trained network on validation, and which one is served."""
    draws = Draws.of(splits, bootstrap, seed)
    return check_graphs(graphs, exported, Served(trained, rule, detector), splits, settings, draws)

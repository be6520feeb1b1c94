"""Measure how far each exported precision strays from the trained network."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.base.outputs import ModelOutputs
from vision.bundle.parity import check_graphs
from vision.bundle.records import ExportedGraphs, PrecisionReport
from vision.config.export import Precision, ToleranceSettings
from vision.data.records import DatasetRef, Splits
from vision.data.store import open_images
from vision.decision.records import DecisionRule, OodDetector
from vision.decision.served import Served


@step
def check_precisions(
    graphs: ExportedGraphs,
    served: Precision,
    trained: ModelOutputs,
    rule: DecisionRule,
    detector: OodDetector,
    dataset: DatasetRef,
    splits: Splits,
    tolerance: ToleranceSettings,
) -> Annotated[PrecisionReport, ArtifactName.PRECISION_REPORT]:
    """Every precision against the trained network on validation, within tolerance or not."""
    network = Served(trained, rule, detector)
    return check_graphs(graphs, served, network, open_images(dataset), splits, tolerance)

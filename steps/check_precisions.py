"""Measure how far each exported precision strays from the trained network."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.config import ToleranceSettings
from vision.parity import check_graphs
from vision.records import (
    DatasetRef,
    DecisionRule,
    ExportedGraphs,
    ModelOutputs,
    OodDetector,
    Precision,
    PrecisionReport,
    Splits,
)
from vision.store import open_images


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
    return check_graphs(graphs, served, trained, rule, detector, open_images(dataset), splits, tolerance)

"""Run every exported graph on validation; no decision enters, so none runs them again."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.base.outputs import ModelOutputs
from vision.bundle.parity import run_graphs
from vision.bundle.records import ExportedGraphs
from vision.data.records import DatasetRef, Splits
from vision.data.store import open_images


@step
def infer_precisions(
    graphs: ExportedGraphs, dataset: DatasetRef, splits: Splits
) -> Annotated[dict[str, ModelOutputs], ArtifactName.PRECISION_OUTPUTS]:
    """Outputs of every usable precision on validation images."""
    return run_graphs(graphs, open_images(dataset), splits)

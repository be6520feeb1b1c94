"""Run the exported graph on the images that its rule is fitted on; later steps judge this graph."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.base.outputs import ModelOutputs
from vision.bundle.engine import Engine, run_engine
from vision.bundle.records import ExportedGraphs
from vision.config.export import Precision
from vision.data.labelled import rows_of
from vision.data.records import DatasetRef, Split, Splits
from vision.data.store import open_images


@step
def infer_exported(
    graphs: ExportedGraphs, precision: str, dataset: DatasetRef, splits: Splits
) -> Annotated[ModelOutputs, ArtifactName.OUTPUTS]:
    """Outputs of the served precision on train, validation and calibration images."""
    engine = Engine.of(graphs, Precision(precision))
    rows = rows_of(splits, Split.TRAIN, Split.VALIDATION, Split.CALIBRATION)
    return run_engine(engine, open_images(dataset), rows)

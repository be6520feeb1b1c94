"""Run the exported graph where its rule is made: from here on, what is judged is what is served."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.engine import Engine, run_engine
from vision.labelled import rows_of
from vision.records import DatasetRef, ExportedGraphs, ModelOutputs, PrecisionReport, Split, Splits
from vision.store import open_images


@step
def infer_exported(
    graphs: ExportedGraphs, precisions: PrecisionReport, dataset: DatasetRef, splits: Splits
) -> Annotated[ModelOutputs, ArtifactName.OUTPUTS]:
    """Outputs of the served precision on train, validation and calibration images."""
    engine = Engine.of(graphs, precisions.served)
    rows = rows_of(splits, Split.TRAIN, Split.VALIDATION, Split.CALIBRATION)
    return run_engine(engine, open_images(dataset), rows)

"""Run the exported graph on the test images, once everything that is fitted stands."""

from typing import Annotated

import numpy as np
from zenml import step

from materializers.names import ArtifactName
from vision.engine import Engine, run_engine
from vision.far import make_all_far
from vision.labelled import rows_of
from vision.records import DatasetRef, ExportedGraphs, ModelOutputs, PrecisionReport, Split, Splits
from vision.store import open_images


@step
def infer_test(
    graphs: ExportedGraphs,
    precisions: PrecisionReport,
    dataset: DatasetRef,
    splits: Splits,
    num_far: int,
    seed: int,
) -> tuple[
    Annotated[ModelOutputs, ArtifactName.OUTPUTS],
    Annotated[dict[str, ModelOutputs], ArtifactName.FAR_OUTPUTS],
]:
    """Outputs of the served precision on test images, known and held out, and on far unknowns."""
    engine = Engine.of(graphs, precisions.served)
    outputs = run_engine(engine, open_images(dataset), rows_of(splits, Split.TEST))
    made = make_all_far(num_far, dataset.image_size, seed)
    far = {kind: run_engine(engine, images, np.arange(num_far)) for kind, images in made.items()}
    return outputs, far

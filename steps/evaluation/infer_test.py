"""Run the exported graph on the test images, after everything has been fitted."""

from typing import Annotated

import numpy as np
from zenml import step

from materializers.names import ArtifactName
from vision.base.outputs import ModelOutputs
from vision.bundle.engine import Engine, run_engine
from vision.bundle.records import ExportedGraphs
from vision.config.decision import StrangerFolder
from vision.config.export import Precision
from vision.data.labelled import rows_of
from vision.data.records import DatasetRef, Split, Splits
from vision.data.store import open_images, settings_of
from vision.evaluation.far import make_all_far


@step
def infer_test(
    graphs: ExportedGraphs,
    precision: str,
    dataset: DatasetRef,
    splits: Splits,
    num_far: int,
    strangers: tuple[StrangerFolder, ...],
    seed: int,
) -> tuple[
    Annotated[ModelOutputs, ArtifactName.OUTPUTS],
    Annotated[dict[str, ModelOutputs], ArtifactName.FAR_OUTPUTS],
]:
    """Outputs of the served precision on test images, known and held out, and on far unknowns.

    The folders of strangers come with their digests, so that a changed folder is read again.
    """
    engine = Engine.of(graphs, Precision(precision))
    outputs = run_engine(engine, open_images(dataset), rows_of(splits, Split.TEST))
    made = make_all_far(num_far, settings_of(dataset), seed, strangers)
    far = {kind: run_engine(engine, own, np.arange(len(own))) for kind, own in made.items()}
    return outputs, far

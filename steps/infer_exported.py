"""Run the exported graph: from here on, what is judged is what is served."""

from typing import Annotated

import numpy as np
from zenml import step

from materializers.names import ArtifactName
from vision.config import UnknownSettings
from vision.engine import Engine, run_engine
from vision.far import FAR_KINDS, make_far_images
from vision.labelled import rows_of
from vision.records import DatasetRef, ExportedGraphs, ModelOutputs, Precision, Split, Splits
from vision.store import open_images


@step
def infer_exported(
    graphs: ExportedGraphs,
    precision: Precision,
    dataset: DatasetRef,
    splits: Splits,
    unknowns: UnknownSettings,
    seed: int,
) -> tuple[
    Annotated[ModelOutputs, ArtifactName.OUTPUTS],
    Annotated[dict[str, ModelOutputs], ArtifactName.FAR_OUTPUTS],
]:
    """Outputs of the served precision on every image of the four splits, and on far unknowns."""
    engine = Engine.of(graphs, precision)
    outputs = run_engine(engine, open_images(dataset), rows_of(splits, *Split))
    rng = np.random.default_rng(seed)
    rows = np.arange(unknowns.num_far)
    far = {
        kind: run_engine(engine, make_far_images(kind, unknowns.num_far, dataset.image_size, rng), rows)
        for kind in FAR_KINDS
    }
    return outputs, far

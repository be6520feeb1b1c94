"""Export the winner, and only the winner."""

from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.base.outputs import ModelFile
from vision.bundle.records import ExportedGraphs
from vision.config.export import GraphSettings
from vision.data.records import DatasetRef, Split, Splits
from vision.data.store import open_images


@step
def export(
    model: ModelFile, dataset: DatasetRef, splits: Splits, settings: GraphSettings
) -> Annotated[ExportedGraphs, ArtifactName.GRAPHS]:
    """The winner as TFLite graphs, one for each precision."""
    from vision.training.nets.export import export_graphs

    folder = Path(mkdtemp(prefix="export-"))
    return export_graphs(model, open_images(dataset), splits.rows(Split.TRAIN), settings, folder)

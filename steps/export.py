"""Export the winner, and only the winner."""

from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.config import GraphSettings
from vision.records import DatasetRef, ExportedGraphs, ModelFile, Split, Splits
from vision.store import open_images


@step
def export(
    model: ModelFile, dataset: DatasetRef, splits: Splits, settings: GraphSettings
) -> Annotated[ExportedGraphs, ArtifactName.GRAPHS]:
    """The winner as TFLite graphs, one for each precision."""
    from vision.nets.export import export_graphs

    folder = Path(mkdtemp(prefix="export-"))
    return export_graphs(model, open_images(dataset), splits.rows(Split.TRAIN), settings, folder)

"""Read the source: every file into the manifest, every usable image into the decoded store."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from steps.executor import executor_of_run
from vision.base.home import project_home
from vision.base.progress import ProgressLog
from vision.config.data import ImageSettings
from vision.config.sources.registry import SourceSettings
from vision.data.groups.near_duplicates import link_alike
from vision.data.records import DatasetRef, Manifest
from vision.data.shapes import choose_resize
from vision.data.sources import read_source
from vision.data.store import build_store, open_images
from vision.work.current import open_work


@step
def ingest(
    source: SourceSettings,
    images: ImageSettings,
    source_digest: str,  # noqa: ARG001  the cache key's eye on the outside world
    data_folder: str,
    store_folder: str,
) -> tuple[Annotated[Manifest, ArtifactName.MANIFEST], Annotated[DatasetRef, ArtifactName.DATASET]]:
    """The manifest of the source, with what looks alike, and the reference to its decoded images.

    Both folders are relative to the project's, so that a moved project finds this step in the cache.
    """
    data, store = project_home() / data_folder, project_home() / store_folder
    with open_work(executor_of_run(), store):
        manifest = read_source(source, data, progress=ProgressLog("ingest: images painted or read"))
        settled, reason = choose_resize(images, manifest)
        dataset = build_store(manifest, settled, store, progress=ProgressLog("ingest: images decoded"))
        dataset = dataset.model_copy(update={"resize_reason": reason})
        return link_alike(manifest, open_images(dataset), settled.resize), dataset

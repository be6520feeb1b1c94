"""Finished steps whose results are gone from the disk are not taken from the cache: they run again.

The cache would hand on a reference to nothing, and every later run would fail on it. Such a step run is
marked as expired in ZenML, which then does not use it any more.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from zenml.client import Client
from zenml.utils.pagination_utils import depaginate

from materializers.names import ArtifactName
from vision.base.home import project_home
from vision.config.data import ImageSettings, Resize
from vision.data.store import is_whole

if TYPE_CHECKING:
    from zenml.models import ArtifactVersionResponse

logger = logging.getLogger(__name__)


def expire_lost_steps() -> tuple[str, ...]:
    """Expire every step run of which an output's folder is gone or empty; the folders that are lost.

    Only an artifact store on this machine's disk is looked at.
    """
    client = Client()
    store = client.active_stack.artifact_store
    if not store.config.is_local:
        return ()
    known = depaginate(client.list_artifact_versions, size=1000)
    lost = [each for each in known if each.uri.startswith(store.path) and not _is_there(each.uri)]
    _expire(client, lost)
    return tuple(each.uri for each in lost)


def expire_lost_images(source_digest: str, images: ImageSettings) -> None:
    """Expire the step runs that decoded this source where the decoded images are gone, half there or altered.

    Those in a store outside the project bring their images along.

    Args:
        source_digest: of the data set.
        images: how it is decoded.
    """
    client = Client()
    wanted = (source_digest, images.size)
    resizes = set(Resize) if images.resize is Resize.AUTO else {images.resize}
    versions = depaginate(client.list_artifact_versions, artifact=ArtifactName.DATASET.value, hydrate=True)
    lost = [
        version
        for version in versions
        if tuple(version.run_metadata.get(key) for key in ("source_digest", "image_size")) == wanted
        and version.run_metadata.get("resize") in resizes
        and Path(version.uri).is_relative_to(project_home())
        and not is_whole(project_home() / str(version.run_metadata.get("path")))
    ]
    _expire(client, lost)


def _is_there(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(entries)
    except OSError:
        return False


def _expire(client: Client, lost: Iterable[ArtifactVersionResponse]) -> None:
    makers = {each.producer_step_run_id for each in lost if each.producer_step_run_id}
    now = datetime.now(UTC).replace(tzinfo=None)  # as ZenML keeps it
    names = set()
    for maker in makers:
        step_run = client.get_run_step(maker, hydrate=True)
        if step_run.cache_expires_at is None or step_run.cache_expires_at.replace(tzinfo=None) > now:
            client.update_step_run(maker, cache_expires_at=now)
            names.add(step_run.name)
    if names:
        logger.warning(
            "Results of these steps are gone from the disk: they run again: %s", ", ".join(sorted(names))
        )

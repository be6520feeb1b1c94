"""Assign every group of images to one split."""

import logging
from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.base.wording import join_words
from vision.config.data import SplitSettings
from vision.data.records import Manifest, Splits
from vision.data.splitting.splits import assign_splits

logger = logging.getLogger(__name__)


@step
def split(
    manifest: Manifest, settings: SplitSettings, seed: int, previous: Splits | None = None
) -> Annotated[Splits, ArtifactName.PROPOSED_SPLITS]:
    """The proposed splits; groups of the champion's data (`previous`) keep theirs."""
    lost = sorted(set(previous.class_names) - set(manifest.class_names)) if previous is not None else []
    if lost:
        logger.warning(
            "The gate will refuse whatever is trained here: the model in production knows %s, which these "
            "images lack, so the two cannot be compared. Put the classes back, or give the new data set a "
            "name of its own.",
            join_words(lost),
        )
    return assign_splits(manifest, settings, seed, previous)

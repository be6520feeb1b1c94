"""Count what the champion has not seen."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.data.records import Splits
from vision.retraining import decide as retraining
from vision.retraining.records import NewImages


@step
def count_new_images(
    current: Splits, champion: Splits | None = None
) -> Annotated[NewImages, ArtifactName.NEW_IMAGES]:
    """The labelled images that are new to the champion; none where there is no champion."""
    return retraining.count_new_images(current, champion) if champion else NewImages()

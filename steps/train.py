"""Train one candidate."""

from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.config import CandidateSettings
from vision.progress import TrainingLog
from vision.records import DatasetRef, ModelFile, Splits, TrainingHistory
from vision.store import open_images


@step
def train(
    name: str, settings: CandidateSettings, dataset: DatasetRef, splits: Splits, seed: int
) -> tuple[Annotated[ModelFile, ArtifactName.MODEL], Annotated[TrainingHistory, ArtifactName.HISTORY]]:
    """The best checkpoint of one candidate, and how its training went."""
    from vision.nets.training import train_candidate

    folder = Path(mkdtemp(prefix="train-"))
    images = open_images(dataset)
    model, history = train_candidate(name, settings, images, splits, seed, folder, TrainingLog())
    return model, history  # ZenML reads from this line that there are two outputs

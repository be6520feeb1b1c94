"""Search the settings of one candidate."""

from pathlib import Path
from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.base.home import project_home
from vision.config.training import CandidateSettings
from vision.config.tuning import TuningSettings
from vision.data.records import DatasetRef, Splits
from vision.data.store import open_images
from vision.training.records import TuningRecord


@step
def tune(
    name: str,
    base: CandidateSettings,
    settings: TuningSettings,
    dataset: DatasetRef,
    splits: Splits,
    seed: int,
    study_file: str,
) -> Annotated[TuningRecord, ArtifactName.TUNING]:
    """All trials and the best of them; `study_file`, below the project's folder, is gone on with."""
    from vision.training.nets.tuning import tune as search

    return search(name, base, settings, open_images(dataset), splits, seed, project_home() / Path(study_file))

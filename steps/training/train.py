"""Train one candidate."""

from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

from zenml import get_step_context, step

from materializers.names import ArtifactName
from vision.base.home import checkpoints_folder
from vision.base.outputs import FoldHeads, ModelFile, ModelOutputs
from vision.base.progress import TrainingLog
from vision.config.training import CandidateSettings
from vision.data.records import DatasetRef, Splits
from vision.data.store import open_images
from vision.training.records import TrainingHistory


@step
def train(
    name: str,
    settings: CandidateSettings,
    dataset: DatasetRef,
    splits: Splits,
    seed: int,
    teacher: ModelOutputs | None = None,
) -> tuple[
    Annotated[ModelFile, ArtifactName.MODEL],
    Annotated[FoldHeads, ArtifactName.FOLD_HEADS],
    Annotated[TrainingHistory, ArtifactName.HISTORY],
]:
    """The best checkpoint of one candidate, the heads of its folds, and how its training went."""
    from vision.training.nets.fitting.fit import train_candidate
    from vision.training.nets.fitting.state import TrainingInputs
    from vision.training.nets.fitting.worker import SharedTraining, call_together

    shared = SharedTraining(name=name, settings=settings, dataset=dataset, splits=splits, seed=seed)
    folder = Path(mkdtemp(prefix="train-"))
    # The next run whose step has the same cache key finds what a killed one left there.
    checkpoints = checkpoints_folder() / str(get_step_context().step_run.cache_key)
    with call_together(shared, taught=teacher is not None) as cluster:
        inputs = TrainingInputs(name, settings, open_images(dataset), splits, seed, teacher)
        model, heads, history = train_candidate(inputs, folder, TrainingLog(), checkpoints, cluster)
    return model, heads, history  # ZenML reads from this line that there are three outputs

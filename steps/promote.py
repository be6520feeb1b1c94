"""Let a challenger through the gate, or say why not."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.baselines import Baselines
from vision.challenge import judge
from vision.config import BootstrapSettings, GateSettings
from vision.records import Bundle, DatasetRef, Evaluation, ModelOutputs, Promotion, Splits
from vision.store import open_images


@step(enable_cache=False)
def promote(
    bundle: Bundle,
    evaluation: Evaluation,
    outputs: ModelOutputs,
    baselines: Baselines,
    dataset: DatasetRef,
    splits: Splits,
    settings: GateSettings,
    bootstrap: BootstrapSettings,
    seed: int,
    champion: Bundle | None = None,
    champion_digest: str | None = None,
    champion_splits: Splits | None = None,
) -> Annotated[Promotion, ArtifactName.PROMOTION]:
    """The gate's verdict on the bundle: against floors, or against the champion on the same images."""
    return judge(
        bundle,
        evaluation,
        outputs,
        baselines,
        open_images(dataset),
        splits,
        settings,
        bootstrap,
        seed,
        champion=champion,
        champion_digest=champion_digest,
        champion_splits=champion_splits,
    )

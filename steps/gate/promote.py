"""Judge whether a challenger goes into production, with the reasons."""

from functools import partial
from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.base.home import project_home
from vision.base.outputs import ModelOutputs
from vision.bundle.records import Bundle
from vision.config.data import Resize
from vision.config.run import RunConfig
from vision.data.records import Manifest, Splits
from vision.data.store import images_at
from vision.decision.records import DecisionRule, OodDetector
from vision.decision.served import Served
from vision.evaluation.baselines import Baselines
from vision.evaluation.far import make_all_far
from vision.gate.challenge import Current, Incumbent, judge
from vision.gate.records import Promotion


@step(enable_cache=False)
def promote(
    bundle: Bundle,
    outputs: ModelOutputs,
    rule: DecisionRule,
    detector: OodDetector,
    far: dict[str, ModelOutputs],
    baselines: Baselines,
    manifest: Manifest,
    splits: Splits,
    config: RunConfig,
    store_folder: str,
    champion: Bundle | None = None,
    champion_digest: str | None = None,
    champion_splits: Splits | None = None,
) -> Annotated[Promotion, ArtifactName.PROMOTION]:
    """The gate's verdict on the bundle: against floors, and against the champion on the same images."""
    served = Served(outputs, rule, detector)
    current = Current(
        splits,
        baselines,
        partial(images_at, manifest, project_home() / store_folder),
        far,
        lambda size, resize: make_all_far(
            config.unknowns.num_far,
            config.images.model_copy(update={"size": size, "resize": Resize(resize)}),
            config.seed,
            config.unknowns.strangers,
        ),
        config.dataset.regression,
    )
    incumbent = Incumbent.of(champion, champion_digest, champion_splits)
    return judge(bundle, served, current, config.gate, config.bootstrap, config.seed, incumbent)

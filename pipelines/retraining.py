"""From the data set with its new images to the decision whether to learn from them."""

from zenml import pipeline
from zenml.enums import ExecutionMode

from materializers.registry import Champion
from pipelines.caching import keyed
from pipelines.names import PipelineName
from steps.data.ingest import ingest
from steps.data.split import split
from steps.loop.count_new_images import count_new_images
from steps.loop.decide_retraining import decide_retraining
from vision.config.run import RunConfig
from vision.retraining.records import RetrainingEvidence


@pipeline(name=PipelineName.RETRAINING.value, execution_mode=ExecutionMode.FAIL_FAST)
def retraining(
    config: RunConfig,
    source_digest: str,
    data_folder: str,
    store_folder: str,
    champion: Champion | None,
    evidence: RetrainingEvidence,
) -> None:
    """Ingest, split as the champion's run did, count what is new, decide; a training reuses the first two."""
    champion_splits = champion.splits() if champion else None
    manifest, _ = keyed(ingest)(config.dataset, config.images, source_digest, data_folder, store_folder)
    splits = keyed(split)(manifest, config.split, config.seed, champion_splits)
    new_images = keyed(count_new_images)(splits, champion_splits)
    keyed(decide_retraining)(config.retraining, config.gate, evidence, new_images, source_digest)

"""From images to the settings under which one candidate learns best."""

from zenml import pipeline
from zenml.enums import ExecutionMode

from materializers.registry import Champion
from pipelines.names import PipelineName
from pipelines.training import split_images
from steps.training.tune import tune
from vision.config.run import RunConfig


@pipeline(name=PipelineName.TUNING.value, execution_mode=ExecutionMode.FAIL_FAST)
def tuning(
    config: RunConfig,
    candidate: str,
    source_digest: str,
    data_folder: str,
    store_folder: str,
    study_file: str,
    champion: Champion | None,
) -> None:
    """Ingest and split as a training does, then try settings of one candidate."""
    _, dataset, splits = split_images(config, source_digest, data_folder, store_folder, champion)
    base = config.training.candidates[candidate]
    # never from the cache: a search that its minutes ended goes on, and one that is whole ends at once
    tune.with_options(enable_cache=False)(
        candidate, base, config.tuning, dataset, splits, config.seed, study_file
    )

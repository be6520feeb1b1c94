"""From images to one network under each strategy, side by side; nothing is put into production."""

from zenml import pipeline
from zenml.enums import ExecutionMode

from materializers.registry import Champion
from pipelines.caching import keyed
from pipelines.names import PipelineName
from pipelines.training import split_images, train_candidate
from steps.data.explore import explore
from steps.evaluation.compare import compare
from vision.config.run import RunConfig


@pipeline(name=PipelineName.FINETUNE_COMPARISON.value, execution_mode=ExecutionMode.FAIL_FAST)
def finetune_comparison(
    config: RunConfig, source_digest: str, data_folder: str, store_folder: str, champion: Champion | None
) -> None:
    """Ingest and split as a training does, train every candidate, compare on validation."""
    seed, bootstrap = config.seed, config.bootstrap
    manifest, dataset, splits = split_images(config, source_digest, data_folder, store_folder, champion)
    keyed(explore)(manifest, dataset, splits, config.gate, config.review, bootstrap, seed)
    rows = [train_candidate(config, name, dataset, splits, None) for name in config.training.candidates]
    evaluations, models, _, _, held_outs, rules, _ = (list(each) for each in zip(*rows, strict=True))
    keyed(compare)(evaluations, models, held_outs, rules, splits, config.comparison, bootstrap, seed)

"""From many pictures to the champion's answers, as artifacts."""

from zenml import pipeline
from zenml.enums import ExecutionMode

from materializers.registry import Champion
from pipelines.names import PipelineName
from steps.loop.answer_batch import answer_batch
from vision.config.prediction import BatchSettings


@pipeline(name=PipelineName.BATCH_PREDICTION.value, execution_mode=ExecutionMode.FAIL_FAST)
def batch_prediction(
    champion: Champion,
    model: tuple[str, str],
    path: str,
    settings: BatchSettings,
    group_by: str | None,
    log_url: str | None,
    state: str,
) -> None:
    """Answer what lies at `path`; `model` is the champion's name and version."""
    about = (*model, champion.digest)
    answer_batch(champion.bundle(), champion.splits(), about, path, settings, group_by, log_url, state)

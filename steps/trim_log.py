"""Delete what the prediction log need not keep any more."""

from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from serving.log_window import trim
from serving.prediction_log import PredictionLog
from vision.config import PredictionLogSettings
from vision.records import LogTrimming

WAIT_S = 5.0


@step(enable_cache=False)
def trim_log(
    log_url: str, settings: PredictionLogSettings
) -> Annotated[LogTrimming, ArtifactName.LOG_TRIMMING]:
    """What went: answers older than `keep_days`, and all but the `keep_answers` newest."""
    with closing(PredictionLog(log_url, wait_s=WAIT_S, create=False)) as log:
        return trim(log, settings, datetime.now(UTC))

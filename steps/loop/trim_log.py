"""Delete what the prediction log need not keep any more."""

import logging
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from serving.log.prediction_log import PredictionLog
from serving.log.window import trim
from vision.config.serve import PredictionLogSettings
from vision.drift.records import LogTrimming

WAIT_S = 5.0

logger = logging.getLogger(__name__)


@step(enable_cache=False)
def trim_log(
    log_url: str, settings: PredictionLogSettings, previous: LogTrimming | None
) -> Annotated[LogTrimming, ArtifactName.LOG_TRIMMING]:
    """What went: answers older than `keep_days`, and all but the `keep_answers` newest."""
    with closing(PredictionLog(log_url, wait_s=WAIT_S, create=False)) as log:
        trimming = trim(log, settings, datetime.now(UTC), previous)
    if trimming.doubted_since is not None:
        logger.warning(
            "The clock says %s, the last time known was %s: it is ahead, or monitoring and clients "
            "paused for long. Answers were deleted by the last time known; if the clock is right, the next "
            "monitoring run after a day deletes by it.",
            trimming.doubted_since.isoformat(timespec="seconds"),
            trimming.believed.isoformat(timespec="seconds") if trimming.believed else "none",
        )
    return trimming

"""Read the newest answers of the champion that no verdict was given on."""

from contextlib import closing
from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from serving.log.prediction_log import PredictionLog
from serving.log.window import take_window
from vision.drift.records import LoggedSpan, MonitoredWindow
from vision.drift.window import Window

WAIT_S = 5.0


@step(enable_cache=False)
def read_window(
    log_url: str, model_name: str, model_digest: str, limit: int, previous: MonitoredWindow | None
) -> tuple[Annotated[Window, ArtifactName.WINDOW], Annotated[LoggedSpan, ArtifactName.LOGGED_SPAN]]:
    """The window, and which answers of the log it holds; a log without any gives an empty one."""
    with closing(PredictionLog(log_url, wait_s=WAIT_S, create=False)) as log:
        window, span = take_window(log, model_name, model_digest, limit, previous)
    return window, span  # two outputs to ZenML only where it reads a tuple here

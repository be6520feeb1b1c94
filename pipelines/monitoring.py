"""From the champion's logged answers to a verdict on drift."""

from zenml import pipeline
from zenml.enums import ExecutionMode

from materializers.registry import Champion
from pipelines.names import PipelineName
from steps.loop.monitor import monitor
from steps.loop.read_window import read_window
from steps.loop.trim_log import trim_log
from vision.config.run import RunConfig
from vision.drift.records import LogTrimming, MonitoredWindow


@pipeline(name=PipelineName.MONITORING.value, execution_mode=ExecutionMode.FAIL_FAST)
def monitoring(
    config: RunConfig,
    log_url: str,
    champion: Champion,
    previous: MonitoredWindow | None,
    trimmed: LogTrimming | None,
) -> None:
    """Read the newest window, judge it against the champion's reference, delete what is too old."""
    settings = config.monitoring
    window, span = read_window(log_url, config.name, champion.digest, settings.window, previous)
    monitor(window, span, champion.bundle(), champion.digest, settings, config.seed, log_url)
    trim_log(log_url, config.serve.log, trimmed, after=["monitor"])

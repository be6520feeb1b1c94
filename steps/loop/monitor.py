"""Judge a window against the champion's reference; Evidently, imported only here, draws it, no more."""

import logging
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

import numpy as np
from zenml import step

from materializers.names import ArtifactName
from serving.log.prediction_log import PredictionLog
from serving.log.verdicts import note_verdict
from vision.base.errors import LogError
from vision.base.files import digest_file
from vision.bundle.assembly import load_detector, load_reference, verify_bundle
from vision.bundle.records import Bundle
from vision.config.monitoring import DriftSettings
from vision.drift.monitoring import CLASS_NAME, Table, judge_window, tabulate_sides
from vision.drift.records import DriftPage, DriftReport, DriftStatus, LoggedSpan, MonitoredWindow
from vision.drift.window import Window

WAIT_S = 5.0

logger = logging.getLogger(__name__)


@step(enable_cache=False)
def monitor(
    window: Window,
    span: LoggedSpan,
    bundle: Bundle,
    model_digest: str,
    settings: DriftSettings,
    seed: int,
    log_url: str,
) -> tuple[
    Annotated[DriftReport, ArtifactName.DRIFT_REPORT],
    Annotated[MonitoredWindow, ArtifactName.MONITORED_WINDOW],
    Annotated[DriftPage, ArtifactName.DRIFT_PAGE],
]:
    """The verdict with its evidence, the window in short, and Evidently's page where there was enough.

    The verdict is also written beside the answers, where the service finds it; where the log does not take
    it, a warning says so.
    """
    reference = load_reference(bundle.root, model_digest)
    report, monitored = judge_window(reference, window, span, settings, seed)
    _note(log_url, model_digest, report)
    folder = Path(mkdtemp(prefix="drift-page-"))
    if report.status is DriftStatus.INSUFFICIENT:
        return report, monitored, DriftPage(root=folder, files={})
    rule = verify_bundle(bundle.root, model_digest).rule
    detector = load_detector(bundle.path(Bundle.DETECTOR_NAME))
    sides = tabulate_sides(reference, window, rule, detector, settings.burst_gap_seconds)
    path = folder / DriftPage.FILE_NAME
    _draw_with_evidently(*sides, path)
    return report, monitored, DriftPage(root=folder, files={path.name: digest_file(path)})


def _note(log_url: str, model_digest: str, report: DriftReport) -> None:
    """Write the verdict into the log, if there is one; a log that refuses it costs no report."""
    try:
        with closing(PredictionLog(log_url, wait_s=WAIT_S, create=False)) as log:
            if log.exists():
                note_verdict(log, model_digest, report, datetime.now(UTC))
    except LogError as error:
        logger.warning("The service does not tell this verdict, %s: %s", report.status, error)


def _draw_with_evidently(reference: Table, window: Table, path: Path) -> None:
    """Evidently's page on two tables with a row a group, complete in itself: every column, and no verdict.

    Its own tests of drift know no groups and no level over several columns; a second verdict beside that of
    `judge_window` would contradict it.
    """
    import os

    os.environ["DO_NOT_TRACK"] = "true"  # read when Evidently is imported

    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import ValueStats

    numerical = [name for name in reference if name != CLASS_NAME]
    definition = DataDefinition(numerical_columns=numerical, categorical_columns=[CLASS_NAME])
    current, earlier = (
        Dataset.from_pandas(pd.DataFrame(table), data_definition=definition) for table in (window, reference)
    )
    with np.errstate(invalid="ignore"):  # of columns that do not vary
        Report([ValueStats(column=name) for name in reference]).run(current, earlier).save_html(str(path))

"""Look at the data before anything is trained on it."""

import logging
from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.config.decision import ReviewSettings
from vision.config.evaluation import BootstrapSettings
from vision.config.gate import GateSettings
from vision.data.exploration import explore as explore_data
from vision.data.exploration import find_doubtful_labels
from vision.data.records import DataReport, DatasetRef, Manifest, Splits
from vision.data.splitting.splits import tell_test_change
from vision.data.store import open_images
from vision.gate.reach import find_unreachable

logger = logging.getLogger(__name__)


@step
def explore(
    manifest: Manifest,
    dataset: DatasetRef,
    splits: Splits,
    gate: GateSettings,
    review: ReviewSettings,
    bootstrap: BootstrapSettings,
    seed: int,
    previous: Splits | None = None,
) -> Annotated[DataReport, ArtifactName.DATA_REPORT]:
    """Counts, quality, duplicates, quarantined files and findings; also floors that nothing can reach.

    It says as well how test differs from that of the model in production (`previous`).
    """
    report = explore_data(manifest, open_images(dataset), splits, dataset.resize_reason)
    unreachable = find_unreachable(splits, gate, review, bootstrap, seed)
    for finding in (*unreachable, *find_doubtful_labels(manifest)):
        logger.warning(finding.message)
    change = tell_test_change(splits, previous) if previous is not None else ""
    return report.model_copy(
        update={"findings": (*unreachable, *report.findings), "test_change": change},
    )

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
) -> Annotated[DataReport, ArtifactName.DATA_REPORT]:
    """Counts, quality, duplicates, quarantined files and findings; also floors that nothing can reach."""
    report = explore_data(manifest, open_images(dataset), splits, dataset.resize_reason)
    unreachable = find_unreachable(splits, gate, review, bootstrap, seed)
    for finding in (*unreachable, *find_doubtful_labels(manifest)):
        logger.warning(finding.message)
    return report.model_copy(update={"findings": (*unreachable, *report.findings)})

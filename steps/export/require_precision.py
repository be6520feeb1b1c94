"""Refuse to serve a precision that strays from the trained network; the report stays as evidence."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.bundle.parity import require_served
from vision.bundle.records import PrecisionReport


@step
def require_precision(
    precisions: PrecisionReport,
) -> Annotated[PrecisionReport, ArtifactName.PRECISION_REPORT]:
    """The report, of which the served precision keeps to the tolerance."""
    return require_served(precisions)

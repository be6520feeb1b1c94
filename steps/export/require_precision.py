"""Refuse to serve a precision that differs from the trained network beyond the tolerance."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.bundle.parity import require_served
from vision.bundle.records import PrecisionReport


@step
def require_precision(precisions: PrecisionReport) -> Annotated[str, ArtifactName.SERVED_PRECISION]:
    """The precision to serve; a report that differs in its figures alone runs nothing again."""
    return require_served(precisions).value

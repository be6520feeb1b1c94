"""Refuse to serve a precision that strays from the trained network; the report stays as evidence."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.bundle.parity import require_served
from vision.bundle.records import PrecisionReport


@step
def require_precision(precisions: PrecisionReport) -> Annotated[str, ArtifactName.SERVED_PRECISION]:
    """The precision to serve; a report that differs in its figures alone runs nothing again."""
    return require_served(precisions).value

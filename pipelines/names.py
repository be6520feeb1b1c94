"""Every pipeline has one name, and this is where it stands; importing it loads no step."""

from enum import StrEnum


class PipelineName(StrEnum):
    """Names of pipelines in ZenML and, but for the last, on the command line."""

    TRAINING = "training"
    MONITORING = "monitoring"
    RETRAINING = "retraining"
    DEPLOYMENT = "deployment"
    SCHEDULED = "scheduled"

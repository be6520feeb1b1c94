"""Every pipeline has one name, and this is where it stands; importing it loads no step."""

from enum import StrEnum


class PipelineName(StrEnum):
    """Names of pipelines in ZenML and on the command line."""

    TRAINING = "training"
    MONITORING = "monitoring"
    RETRAINING = "retraining"
    DEPLOYMENT = "deployment"

"""Every pipeline has one name, and this is where it stands; importing it loads no step."""

from __future__ import annotations

from enum import StrEnum


class PipelineName(StrEnum):
    """Names of pipelines in ZenML and on the command line, with what each makes of what.

    Each has a DAG in `pipelines/` and a flow in `orchestration/flows/` of the same name.
    """

    description: str

    def __new__(cls, value: str, description: str) -> PipelineName:
        """A name that knows its line of the help."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        return member

    TRAINING = "training", "from a folder of images to a trained, calibrated, compared, exported, gated model"
    MONITORING = (
        "monitoring",
        "from the champion's newest answers to a verdict: drift, quiet, or too few to say",
    )
    RETRAINING = (
        "retraining",
        "from drift, new images and age to a decision; on a yes, training and the gate's verdict",
    )
    DEPLOYMENT = (
        "deployment",
        "from the model in production to a service whose answers are the pipeline's own",
    )
